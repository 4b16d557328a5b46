"""A whole folder of photos made worse, by all cores, in a run that can be stopped and started.

    print(degrade_folder(path / "images", path / "crappy", crappify))

What is done to each photo is a recipe's business; see `degrade`. The folder holds a note of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.errors import DataError, DataNotFound, check_path, listed
from ..data.folders import find_images
from ..data.parallel import parallel
from ..files import write_atomically
from .degrade import Crappify, Recipe

NOTE = "degraded.json"  # which recipe made the pictures of a folder


@dataclass
class Report:
    """What came of a folder: how many were made, how many were there, which failed and why."""

    done: int = 0
    skipped_existing: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)

    def __str__(self) -> str:
        there = f", {self.skipped_existing:,} there already" if self.skipped_existing else ""
        lines = [f"{self.done:,} pictures made{there}, {len(self.failed):,} failed"]
        lines += [f"  {reason}" for _, reason in self.failed[:10]]
        more = len(self.failed) - 10
        return "\n".join(lines + [f"  and {more:,} more in .failed"] * (more > 0))


def degrade_folder(
    path_hr: str | Path,
    path_lr: str | Path,
    how: Callable[..., Recipe] = Crappify,
    max_workers: int | None = None,
    **options: Any,
) -> Report:
    """All photos below `path_hr`, made worse, below `path_lr`: ``degrade_folder(a, b, size=64)``.

    `how` is a recipe's class, and `options` are its own. Started again, it goes on where it was
    stopped: a file is either whole or not there. Files that are no photos are listed in the report
    and left out. DataError where the folder holds the work of another recipe, or pictures by these
    names without a note (deleted or never written: nobody knows how they were made), or two photos
    would get one name; OSError where `path_lr` cannot be written, such as on a full disk.
    """
    if not check_path("degrade_folder", "path_hr", path_hr).is_dir():
        raise DataNotFound(f"degrade_folder: {path_hr} is not a folder; check path_hr")
    recipe = _made(how, path_lr, path_hr, options)
    files = find_images(path_hr, function="degrade_folder")
    places = _places(recipe, files)
    _keep_note(recipe, places.values())
    todo = [file for file, place in places.items() if not place.exists()]
    try:
        reasons = parallel(_Attempt(recipe), todo, max_workers, f"writing {recipe.path_lr.name}")
    except OSError as error:
        finished = sum(place.exists() for place in places.values())
        error.add_note(
            f"degrade_folder: {finished:,} of {len(files):,} pictures are finished, none is half "
            "written; the same call goes on from there"
        )
        raise
    reasons = reasons or [None] * len(todo)
    failed = [(file, why) for file, why in zip(todo, reasons, strict=True) if why is not None]
    return Report(len(todo) - len(failed), len(files) - len(todo), failed)


@dataclass
class _Attempt:
    """A recipe that gives the reason where a photo cannot be read, and None where all is well."""

    recipe: Recipe

    def __call__(self, fn: Path, i: int) -> str | None:
        try:
            self.recipe(fn, i)
        except DataError as error:
            return str(error)
        return None


def _made(how: Any, path_lr: Any, path_hr: Any, options: dict[str, Any]) -> Recipe:
    """The recipe; TypeError where `how` makes none. A recipe itself can be called too: it draws."""
    usable = callable(how) and not isinstance(how, Recipe)
    made = how(path_lr, path_hr, **options) if usable else how
    if not usable or not isinstance(made, Recipe):
        raise TypeError(
            "degrade_folder: how must be a recipe's class, whose options follow, as in "
            f"degrade_folder(path_hr, path_lr, Crappify, size=96), got {how!r:.80}"
        )
    return made


def _places(recipe: Recipe, files: list[Path]) -> dict[Path, Path]:
    """Where each photo goes; DataError where two go to one place."""
    taken: dict[Path, Path] = {}
    for file in files:
        other = taken.setdefault(recipe.destination(file), file)
        if other is not file:
            raise DataError(
                f"degrade_folder: {other} and {file} would both become "
                f"{recipe.destination(file)}; rename one of them"
            )
    return {file: place for place, file in taken.items()}


def _keep_note(recipe: Recipe, places: Iterable[Path]) -> None:
    """Write down which recipe a folder is of; DataError where it is of another, or of none."""
    note, wanted = recipe.path_lr / NOTE, recipe.description()
    try:
        found = json.loads(note.read_text("utf-8"))
    except FileNotFoundError:
        there = [place.relative_to(recipe.path_lr).as_posix() for place in places if place.exists()]
        if there:
            raise DataError(
                f"degrade_folder: {recipe.path_lr} has no {NOTE}, but files by names to be made "
                f"({listed(there, 3)}), and nobody knows how they were made; choose another "
                "folder, or move them away"
            ) from None
        write_atomically(note, json.dumps(wanted, indent=1).encode(), "degrade_folder")
        return
    except NotADirectoryError as error:
        raise DataError(
            f"degrade_folder: {recipe.path_lr} cannot be a folder, for it or one above it is a "
            "file; choose another path_lr"
        ) from error
    except ValueError as error:
        raise DataError(
            f"degrade_folder: {note} cannot be read ({error}), so nobody knows how the pictures "
            f"beside it were made; delete {recipe.path_lr} or choose another folder"
        ) from error
    if found != wanted:
        raise DataError(
            f"degrade_folder: {recipe.path_lr} holds pictures made by {found}, and these would be "
            f"made by {wanted}; delete the folder or choose another"
        )
