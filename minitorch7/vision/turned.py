"""Features without labels: a small network that learns by how much photos have been turned.

A feature loss needs a network that has learned what pictures are made of. VGG-16's weights, from a
million labelled photos, are 528 MB and may be out of reach. But turn a photo by 0, 1, 2 or 3
quarters of a circle: to say how often, one must know that fur grows downwards, that eyes are above
a nose, that light comes from above. Nobody has to label anything, and any folder of photos will do.
(Gidaris, Singh & Komodakis 2018, arXiv 1803.07728)

    sets = turned_photos(ImageList.from_folder(path).split_by_rand_pct(0.1, seed=42))
    data = sets.transform(get_transforms(), size=64).databunch(bs=64).normalize(imagenet_stats)
    network = turn_network()
    Learner(data, network, metrics=accuracy).fit_one_cycle(10, 1e-2)
    loss = FeatureLoss(network.features, layers_before_pooling(network.features)[1:], [1, 1, 1])

What it learns in minutes from a few thousand photos is far less than VGG knows, but it is of the
same kind: edges, textures and parts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..data.categories import Category, CategoryList
from ..data.errors import DataError
from ..data.labels import LabelList, LabelLists
from ..data.normalize import as_floats
from ..data.splits import ItemLists
from ..functional._arguments import check_integer
from .vgg import VGG

TURNS = ("0°", "90°", "180°", "270°")  # to the left
ANY = -1  # in the place of a class number: drawn anew for every batch
STAGES = ((16, 16), (32, 32), (64, 64), (64, 64))


def turned(pictures: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Each picture turned to the left by its own number of quarter turns.

    pictures (n, C, H, H), turns (n,) of 0 to 3 → (n, C, H, H). DataError unless they are square.
    """
    if pictures.ndim != 4 or pictures.shape[2] != pictures.shape[3]:
        raise DataError(
            f"turned: pictures must be square, (n, C, H, H), got shape {pictures.shape}; crop them "
            "with .transform(tfms, size=64)"
        )
    out = np.empty_like(pictures)
    for k in range(len(TURNS)):
        out[turns == k] = np.rot90(pictures[turns == k], k, axes=(2, 3))
    return out


class TurnClasses(CategoryList):
    """Classes that are quarter turns; codes may also be `ANY`."""

    def __getitem__(self, index: int) -> Category:
        return Category(ANY, "any") if self.codes[index] == ANY else super().__getitem__(index)


class TurnedList(LabelList):
    """A set of photos whose classes are quarter turns; the photos are turned as the class says.

    A photo of the class `ANY` is turned by a number drawn from the loader's stream, so that over
    the epochs it is seen in all four ways. The transforms come first: they vary upright photos.
    """

    def gather(
        self, indices: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        x, turns = super().gather(indices, rng)
        drawn = rng.integers(0, len(TURNS), len(turns))
        turns = np.where(turns == ANY, drawn, turns)
        return turned(x, turns), turns

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int | np.integer) or not -len(self) <= index < len(self):
            return super().__getitem__(index)
        x, turns = self.gather(np.array([index % len(self)]), self._looks)
        return np.ascontiguousarray(as_floats(x)[0]), Category(int(turns[0]), TURNS[turns[0]])


def turned_photos(items: ItemLists) -> LabelLists:
    """The two lists of a split, to learn turns from: ``turned_photos(il.split_by_rand_pct(0.1))``.

    Each training photo is turned by a number drawn for its batch. For validation each photo is
    there four times, once in each way, so that a score does not depend on draws.
    """
    if not isinstance(items, ItemLists):
        raise TypeError(
            "turned_photos: needs lists that are split, as il.split_by_rand_pct(0.1) gives them, "
            f"got {type(items).__name__}"
        )
    train, valid, ways = items.train, items.valid, len(TURNS)
    four = valid.take(np.repeat(np.arange(len(valid)), ways))
    return LabelLists(
        TurnedList(train, TurnClasses(np.full(len(train), ANY), list(TURNS))),
        TurnedList(four, TurnClasses(np.tile(np.arange(ways), len(valid)), list(TURNS))),
    )


def turn_network(stages: Sequence[Sequence[int]] = STAGES, grid: int = 3) -> nn.Sequential:
    """A small VGG that says by how much photos are turned: (N, 3, H, H) → scores (N, 4).

    Its layers up to the last pooling are ``network.features``; then come means over grid×grid parts
    of the picture, and a linear layer.

    stages  as in `VGG`; H must be 2^stages or more
    grid    1 would be one mean over all places, which forgets that light comes from above

    ValueError for stages that are not lists of channels, TypeError or ValueError for the grid.
    """
    check_integer("turn_network", "grid", grid, 1)
    _check_stages(stages)
    features, channels = VGG(stages, num_classes=1, hidden=1).features, stages[-1][-1]
    layers = {
        "features": features,
        "pool": nn.AdaptiveAvgPool2d(grid),
        "flatten": nn.Flatten(),
        "head": nn.Linear(channels * grid**2, len(TURNS)),
    }
    return nn.Sequential(OrderedDict(layers))


def _check_stages(stages: Any) -> None:
    lists = stages if isinstance(stages, list | tuple) else ()
    if not lists or not all(isinstance(stage, list | tuple) and stage for stage in lists):
        raise ValueError(
            "turn_network: stages must be the channels of the convolutions before each pooling, "
            f"as in ((16, 16), (32, 32)), got {stages!r:.80}"
        )
    for channels in (n for stage in lists for n in stage):
        check_integer("turn_network", "each of a stage's channels", channels, 1)
