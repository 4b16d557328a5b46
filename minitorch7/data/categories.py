"""Labels that are classes, one for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, listed


@dataclass(frozen=True)
class Category:
    """One label: its class number `data`, which the model sees, and its name `obj`."""

    data: int
    obj: Any

    def __int__(self) -> int:
        return self.data

    __index__ = __int__

    def __str__(self) -> str:
        return str(self.obj)


class CategoryList:
    """Labels that are classes: `codes` (n,) int64 are places in the list `classes`."""

    kind = "class"  # or "mask", or "picture": what a batch's labels are

    def __init__(self, codes: np.ndarray, classes: list[Any]) -> None:
        self.codes, self.classes = codes, classes

    @classmethod
    def make(
        cls,
        function: str,
        values: list[Any],
        items: Sequence[Path],
        classes: Sequence[Any] | None,
        pictures: Sequence[Any] = (),
    ) -> CategoryList:
        """Labels from the `values` of all `items`, training and validation.

        Without `classes` they are the sorted values. fastai looks at the training values only and
        drops validation items with others, so a rare class can go missing by an unlucky split; here
        both sides count and nothing is dropped.
        """
        kinds = {type(value) for value in values}
        if len(kinds) > 1 or not issubclass(next(iter(kinds)), str | int | np.integer):
            raise DataError(
                f"{function}: class labels must be all strings or all whole numbers, got "
                f"{' and '.join(sorted(kind.__name__ for kind in kinds))} (the first: "
                f"{values[0]!r} for {items[0]})"
            )
        names = sorted(set(values)) if classes is None else list(classes)
        number = {name: code for code, name in enumerate(names)}
        if len(number) < len(names):
            raise DataError(f"{function}: classes has a name twice: {listed(names)}")
        for value, item in zip(values, items, strict=True):
            if value not in number:
                raise DataError(
                    f"{function}: label {value!r} of {item} is not among classes ({listed(names)});"
                    " add it, or leave classes out to have them found"
                )
        return cls(np.array([number[value] for value in values], np.int64), names)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def c(self) -> int:
        """The number of classes, which a classifier has as outputs."""
        return len(self.classes)

    def __getitem__(self, index: int) -> Category:
        code = int(self.codes[index])
        return Category(code, self.classes[code])

    def take(self, indices: np.ndarray) -> CategoryList:
        """The labels at `indices`, of the same classes."""
        return type(self)(self.codes[indices], self.classes)

    def gather(self, indices: np.ndarray) -> np.ndarray:
        """The class numbers at `indices` (n,) as int64 (n,)."""
        return self.codes[indices]

    def loss_func(self) -> Any:
        """Cross entropy: the function itself, as it is compared by name."""
        from .. import functional

        return functional.cross_entropy

    def __repr__(self) -> str:
        shown = ",".join(str(self[i]) for i in range(min(5, len(self))))
        more = ",..." if len(self) > 5 else ""
        return f"{type(self).__name__} of {self.c} classes\n{shown}{more}"
