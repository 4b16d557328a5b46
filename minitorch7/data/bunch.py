"""The last link: the labelled sets behind their loaders, and the scale they are put on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from ..autograd import Tensor, tensor
from .decode import picture_of
from .errors import DataError, check_count
from .loader import DataLoader
from .normalize import Stats, as_floats, checked_stats, stats_of
from .transforms import vary

if TYPE_CHECKING:
    from .labels import LabelList, LabelLists


class DataBunch:
    """Four loaders over the labelled sets.

    | loader     | items      | transforms | order    | last batch that is not full |
    |------------|------------|------------|----------|-----------------------------|
    | `train_dl` | training   | training   | shuffled | left out                    |
    | `valid_dl` | validation | validation | as is    | kept                        |
    | `fix_dl`   | training   | validation | as is    | kept                        |
    | `test_dl`  | test       | validation | as is    | kept; None without a test set |
    """

    def __init__(
        self,
        lists: LabelLists,
        bs: int = 64,
        val_bs: int | None = None,
        path: str | Path | None = None,
        seed: int = 0,
        prefetch: int = 2,
    ) -> None:
        check_count("databunch", "bs", bs, least=1)
        val_bs = bs if val_bs is None else check_count("databunch", "val_bs", val_bs, least=1)
        self.label_lists, self.path = lists, lists.path if path is None else Path(path)
        still = {"seed": seed, "prefetch": prefetch}
        self.train_dl = DataLoader(lists.train, bs, shuffle=True, drop_last=True, **still)
        self.valid_dl = DataLoader(lists.valid, val_bs, **still)
        fixed = type(lists.train)(lists.train.x, lists.train.y, lists.valid.tfms, lists.valid.tfm_y)
        self.fix_dl = DataLoader(fixed, val_bs, **still)
        self.test_dl = DataLoader(lists.test, val_bs, **still) if lists.test else None
        self.stats: Stats | None = None
        self._do_x, self._do_y = True, False  # whether inputs, and targets, are on that scale
        _check_channels(lists)

    @property
    def train_ds(self) -> LabelList:
        """The training set."""
        return self.train_dl.dataset

    @property
    def valid_ds(self) -> LabelList:
        """The validation set."""
        return self.valid_dl.dataset

    @property
    def test_ds(self) -> LabelList | None:
        """The test set, if one was added."""
        return None if self.test_dl is None else self.test_dl.dataset

    @property
    def batch_size(self) -> int:
        """Items in a training batch."""
        return self.train_dl.batch_size

    @property
    def classes(self) -> list[Any]:
        """The names of the classes, by number."""
        return self.label_lists.classes

    @property
    def c(self) -> int:
        """The number of classes; of labels that are pictures, their channels."""
        return self.label_lists.c

    @property
    def empty_val(self) -> bool:
        """Whether there is nothing to validate on."""
        return self.valid_dl.n == 0

    @property
    def loss_func(self) -> Callable[..., Tensor]:
        """The loss that fits the labels: cross entropy, or for pictures the squared error."""
        return self.train_ds.y.loss_func()

    def __repr__(self) -> str:
        return repr(self.label_lists).replace("LabelLists", type(self).__name__, 1)

    def dl(self, ds_type: str = "train") -> DataLoader:
        """The loader called 'train', 'valid', 'fix' or 'test'."""
        loaders = {"train": self.train_dl, "valid": self.valid_dl, "fix": self.fix_dl}
        loaders["test"] = self.test_dl
        if loaders.get(ds_type) is None:
            has = [name for name, loader in loaders.items() if loader is not None]
            raise DataError(f"DataBunch: no loader {ds_type!r} here; it has {', '.join(has)}")
        return loaders[ds_type]

    # ----------------------------------------------------------------------------------- the scale

    def normalize(self, stats: Any = None, do_x: bool = True, do_y: bool = False) -> DataBunch:
        """Give every channel mean 0 and deviation 1: x → (x - mean) / std, in all loaders.

        `stats` is (means, standard deviations) on the scale [0, 1]; without it they are taken from
        one training batch, shuffled and varied: batch 0 of epoch 0. `do_y` puts targets that are
        pictures on the same scale; classes and masks have none. `do_x=False` leaves the inputs as
        they are: noise is on its scale already. Raises DataError the second time, and for noise
        that would be normalised.
        """
        if self.stats is not None:
            raise DataError(
                f"normalize: the data is normalised already (mean {self.stats.mean.tolist()}, std "
                f"{self.stats.std.tolist()}); call it once, or build the databunch anew"
            )
        if do_x and hasattr(self.train_ds.x, "noise"):
            raise DataError(
                "normalize: the inputs are noise, which is on its scale already, but do_x=True "
                "would change them; pass do_x=False, do_y=True for the pictures, the targets"
            )
        do_y = do_y and self.train_ds.kind == "picture"
        x, y = self.train_dl.raw(0, 0)
        seen = x if do_x or not do_y else y
        made = stats_of(seen) if stats is None else checked_stats(stats, seen.shape[1])
        if do_x and do_y and x.shape[1] != y.shape[1]:
            raise DataError(
                f"normalize: one scale for inputs of {x.shape[1]} channels and targets of "
                f"{y.shape[1]}; read both with the same convert_mode, or choose with do_x and do_y"
            )
        self.stats, self._do_x, self._do_y = made, do_x, do_y
        for loader in (self.train_dl, self.valid_dl, self.fix_dl, self.test_dl):
            if loader is not None:
                loader.stats = made if do_x else None
                loader.y_stats = made if do_y else None
        return self

    def denorm(self, x: Any) -> Any:
        """The way back, x · std + mean: of a tensor or array (N, C, H, W) or (C, H, W)."""
        return self._undone(x) if self._do_x else x

    def denorm_y(self, y: Any) -> Any:
        """The way back for targets that are pictures, and for a model's answers like them."""
        return self._undone(y) if self._do_y else y

    def _undone(self, x: Any) -> Any:
        if self.stats is None:
            return x
        if isinstance(x, Tensor):
            return tensor(self._undone(x.data), backend=x.backend)
        if x.ndim not in (3, 4) or x.shape[-3] != len(self.stats.mean):
            raise DataError(
                f"denorm: expected shape (N, C, H, W) or (C, H, W) with C = {len(self.stats.mean)} "
                f"as the data has, got {tuple(x.shape)}"
            )
        xp = backend.of(x)
        mean, std = (xp.asarray(part).reshape(-1, 1, 1) for part in self.stats)  # (C, 1, 1)
        return x * std + mean

    # ------------------------------------------------------------------------------------- looking

    def one_batch(
        self, ds_type: str = "train", denorm: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The first batch of a loader's current epoch; the epoch does not move on."""
        loader = self.dl(ds_type)
        x, y = loader.batch(loader.epoch)
        return (self.denorm(x) if denorm else x), y

    def one_item(self, item: Any) -> Tensor:
        """One picture as a batch of one, treated as the validation set is: (1, C, H, W).

        `item` is the path of an image file, a Pillow image, or an array, such as ``ds[i][0]``.
        """
        pixels = self.train_ds.x.pixels
        picture = picture_of(item, pixels.mode, self.label_lists.size)
        channels = self.train_ds.x.shape()[0]
        if len(picture) != channels:
            raise DataError(
                f"one_item: the model's pictures have {channels} channels, got shape "
                f"{picture.shape}; an array is (H, W) or (C, H, W)"
            )
        x = vary(picture[None], self.valid_ds.tfms, np.random.default_rng(0))
        return tensor(as_floats(x, self.valid_dl.stats))

    def show_batch(
        self,
        rows: int = 5,
        ds_type: str = "train",
        figsize: tuple[float, float] | None = None,
        cmap: str | None = None,
        out: str | Path | None = None,
    ) -> Any:
        """A figure of rows x rows pictures of a batch; saved if `out`.

        Classes are written above the pictures; masks are laid over them, with a legend. Where
        labels are pictures: `rows` rows of input and target; rows x rows targets if made of noise.
        """
        from .. import plot

        count = check_count("show_batch", "rows", rows, least=1) ** 2
        x, y = self.one_batch(ds_type, denorm=True)
        kind = self.dl(ds_type).dataset.kind
        if kind == "picture":
            wanted = np.clip(self.denorm_y(y).numpy(), 0, 1)
            figure = _picture_pairs(np.clip(x.numpy(), 0, 1), wanted, rows, figsize, cmap)
            if out is not None:
                plot.save(figure, out)
            return figure
        images = np.clip(x.numpy()[:count], 0, 1)
        columns = min(rows, len(images))
        grid = {"rows": -(-len(images) // columns), "cols": columns, "figsize": figsize}
        if kind == "mask":
            masks = y.numpy()[:count]
            figure = plot.image_grid(images, cmap=cmap, masks=masks, classes=self.classes, **grid)
        else:
            names = [] if y is None else [str(self.classes[code]) for code in y.numpy()[:count]]
            figure = plot.image_grid(images, names, cmap=cmap, **grid)
        if out is not None:
            plot.save(figure, out)
        return figure


def _picture_pairs(x: np.ndarray, y: np.ndarray, rows: int, figsize: Any, cmap: Any) -> Any:
    """`rows` rows of input and target; of inputs that are no pictures, rows x rows targets."""
    from .. import plot

    if x.shape[2:] != y.shape[2:]:
        return plot.image_grid(y[: rows**2], cols=min(rows, len(y)), figsize=figsize, cmap=cmap)
    grid = [side[i] for i in range(min(rows, len(x))) for side in (x, y)]
    titles = ["Input", "Target"] + [""] * (len(grid) - 2)
    return plot.image_grid(grid, titles, cols=2, figsize=figsize, cmap=cmap)


def _check_channels(lists: LabelLists) -> None:
    """A test set may have come from elsewhere; what the model cannot take is said at once."""
    if lists.test is None:
        return
    ours, theirs = lists.train.x.shape()[0], lists.test.x.shape()[0]
    if ours != theirs:
        raise DataError(
            f"databunch: training pictures have {ours} channels but test pictures have {theirs}; "
            "read both with the same convert_mode ('L' for 1 channel, 'RGB' for 3)"
        )
