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
`normalize`. Under them: `pixels` and `folders` (images on disk), `idx` (MNIST's format), `prefetch`
(batches ahead of time). Beside them: `fetch` (finding MNIST), `drawn` (digits without it).
"""

from .bunch import DataBunch
from .drawn import drawn_digits
from .errors import DataError, DataNotFound
from .fetch import fetch_mnist, find_mnist, mnist
from .folders import write_png_folder
from .items import ImageList
from .labels import Category, CategoryList, LabelList, LabelLists
from .loader import DataLoader
from .normalize import Stats, cifar_stats, imagenet_stats, mnist_stats
from .splits import ItemLists
from .transforms import Pad, RandomCrop, Transform, rand_pad

__all__ = [
    "Category",
    "CategoryList",
    "DataBunch",
    "DataError",
    "DataLoader",
    "DataNotFound",
    "ImageList",
    "ItemLists",
    "LabelList",
    "LabelLists",
    "Pad",
    "RandomCrop",
    "Stats",
    "Transform",
    "cifar_stats",
    "drawn_digits",
    "fetch_mnist",
    "find_mnist",
    "imagenet_stats",
    "mnist",
    "mnist_stats",
    "rand_pad",
    "write_png_folder",
]
