"""The lesson's data block: from files to batches in a chain of short steps.

    data = (
        ImageList.from_folder(path, convert_mode="L")
        .split_by_folder(train="training", valid="testing")
        .label_from_folder()
        .transform((rand_pad(3, 28, mode="zeros"), []))
        .databunch(bs=128)
        .normalize()
    )

Read in the order of the chain: `items`, `splits`, `labels`, `transforms`, `bunch`, `loader`,
`normalize`. Labels are `categories`, masks (`segmentation`) or pictures (`image_image`), and inputs
can be `noise`. Transforms move pixels (`geometry`, `resample`) or light them (`lighting`);
`augment` has the lesson's set. Under them: `pixels`, `decode` and `folders` (images on disk),
`sizes`, `idx` (MNIST's format), `prefetch` (batches ahead of time). Beside them: `fetch`, `camvid`
and `pets` (finding the data sets), `archives` (fetching them), `drawn`, `drawn_streets` and
`drawn_photos` (digits, streets and photos without them), `photos` (reading one of any kind),
`parallel` (work for all cores).

Texts have a chain of their own, of the same links: `text_list`, by way of `tokens` (words) and
`vocab` (their numbers); `lm_bunch` (labelled sets) and `streams` (running text in batches).

    ItemLists(path, TextList(train), TextList(valid)).label_for_lm().databunch(bs=64, bptt=70)
"""

from .augment import get_transforms
from .bunch import DataBunch
from .camvid import CAMVID_CODES, VOID, SegmentationSource, camvid, find_camvid, read_camvid
from .categories import Category, CategoryList
from .drawn import drawn_digits
from .drawn_photos import drawn_photos
from .drawn_streets import drawn_streets
from .errors import DataError, DataNotFound
from .fetch import fetch_mnist, find_mnist, mnist
from .folders import write_png_folder
from .geometry import Dihedral, FlipLR, RandZoom, Rotate, SymmetricWarp
from .image_image import ImageImageList, ImageLabelList
from .items import ImageList
from .labels import LabelList, LabelLists
from .lighting import Brightness, Contrast
from .lm_bunch import LMDataBunch, LMLists
from .loader import DataLoader
from .noise import GANItemList, NoisyItem, noop
from .normalize import Stats, cifar_stats, imagenet_stats, mnist_stats
from .parallel import parallel
from .pets import pets
from .segmentation import SegmentationItemList, SegmentationLabelList
from .sizes import ResizeMethod
from .splits import ItemLists
from .streams import LessonTokenLoader, TokenLoader
from .text_list import TextList
from .tokens import Tokenizer
from .transforms import Pad, RandomCrop, Transform, rand_pad
from .vocab import Vocab

__all__ = [
    "Brightness",
    "CAMVID_CODES",
    "Category",
    "CategoryList",
    "Contrast",
    "DataBunch",
    "DataError",
    "DataLoader",
    "DataNotFound",
    "Dihedral",
    "FlipLR",
    "GANItemList",
    "ImageImageList",
    "ImageLabelList",
    "ImageList",
    "ItemLists",
    "LMDataBunch",
    "LMLists",
    "LabelList",
    "LabelLists",
    "LessonTokenLoader",
    "NoisyItem",
    "Pad",
    "RandZoom",
    "RandomCrop",
    "ResizeMethod",
    "Rotate",
    "SegmentationItemList",
    "SegmentationLabelList",
    "SegmentationSource",
    "Stats",
    "SymmetricWarp",
    "TextList",
    "TokenLoader",
    "Tokenizer",
    "Transform",
    "VOID",
    "Vocab",
    "camvid",
    "cifar_stats",
    "drawn_digits",
    "drawn_photos",
    "drawn_streets",
    "fetch_mnist",
    "find_camvid",
    "find_mnist",
    "get_transforms",
    "imagenet_stats",
    "mnist",
    "mnist_stats",
    "noop",
    "parallel",
    "pets",
    "rand_pad",
    "read_camvid",
    "write_png_folder",
]
