"""A model's answers as picture files: what a critic learns to tell from the originals.

    save_preds(learn, path / "image_gen")

The model sees each training picture once, in order and not varied (`data.fix_dl`), and its answer
gets the name that the picture has, in a folder of its own. The lesson's loop of six lines does the
same. Here a run that was stopped goes on where it was, and answers of two models never mix: the
folder holds a note, `predictions.json`, that says whose they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from ..autograd import as_tensor
from ..data import DataLoader
from ..data.errors import check_path, listed
from ..data.prefetch import prefetched
from ..data.progress import progress
from ..files import write_atomically
from ..learner.interpret import host

if TYPE_CHECKING:
    from ..learner import Learner

NOTE = "predictions.json"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True)
class SavedPreds:
    """What `save_preds` did: the files in the loader's order, how many are new, how many not."""

    folder: Path
    files: list[Path]
    written: int
    kept: int

    def __str__(self) -> str:
        there = f"; {self.kept:,} were there already" if self.kept else ""
        return f"{self.written:,} predictions written to {self.folder}{there}"


def save_preds(
    learn: Learner,
    out: str | Path,
    dl: Any = "train",
    suffix: str | None = None,
    quality: int = 95,
    restart: bool = False,
) -> SavedPreds:
    """Write the model's picture for each item of a loader into `out`, under the item's own name.

    out      a folder; names are those below the list's path, so subfolders are kept
    dl       'train' (in order, not varied), 'valid', 'test', or a loader like these
    suffix   '.png', '.jpg' or '.jpeg' instead of the items' own; they must be one of these
    quality  of JPEG, 1 to 100. Colours keep their full resolution: a critic is to find the model's
             faults, not JPEG's
    restart  remove what an earlier call wrote here, and begin again

    A value v in [0, 1] becomes the byte round(255·v); values outside are clipped. Each file appears
    whole or not at all. The same call goes on where it was stopped, without a second look at
    batches that are done.

    ValueError, before anything is written, where `out` is among the inputs or the targets, where
    two items have one name, where `out` holds another model's predictions or other pictures, and
    where the model's first answer is no picture. OSError where a file cannot be written; it says
    how many are done.
    """
    if not hasattr(learn, "pred_batch"):
        raise TypeError(
            f"save_preds: learn must be a Learner, got {type(learn).__name__}; pass the Learner, "
            "which has the data too"
        )
    loader, out = _checked_loader(learn.loader(dl)), check_path("save_preds", "out", out)
    if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
        raise ValueError(f"save_preds: quality must be a whole number from 1 to 100, got {quality}")
    files = _files(loader.dataset.x, out, suffix)
    _check_apart(out, files, [loader.dataset, *_sets(learn.data)])
    note, now = _notes(out, files, _recipe(learn, loader, quality), restart)
    missing = {i for i, file in enumerate(files) if restart or not file.exists()}
    answers = _predictions(learn, loader, missing)
    contents = ((i, _encoded(picture, files[i], quality)) for i, picture in answers)
    first = list(islice(contents, 1))  # what is no picture is found out before anything is written
    _settle(out, note, now, restart)
    written = 0
    for i, content in chain(first, contents):
        try:
            write_atomically(files[i], content, "save_preds")
        except OSError as error:
            raise type(error)(
                error.errno,
                f"{error.strerror}. Written so far: {written:,} predictions, and "
                f"{len(missing) - written:,} are left; the same call goes on from there",
            ) from error
        written += 1
    return SavedPreds(out, files, written, len(files) - written)


def _predictions(
    learn: Learner, loader: DataLoader, missing: set[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """(item's number, picture (C, H, W)) of the `missing` items.

    Whole batches as the loader has them, since a sum's last bit may depend on what is beside.
    """
    size = loader.batch_size
    batches = sorted({i // size for i in missing})
    arrays = prefetched(partial(loader.arrays, 0), batches, loader.prefetch)
    with contextlib.closing(arrays):
        for batch in progress(batches, "saving predictions"):
            x, _ = next(arrays)
            pictures = learn.pred_batch((as_tensor(x), None), reconstruct=True)
            if pictures.ndim != 4 or pictures.shape[1] not in (1, 3) or len(pictures) != len(x):
                raise ValueError(
                    f"save_preds: the model gives {pictures.shape} for a batch {x.shape}; it must "
                    "give a picture (1 or 3, H, W) for each"
                )
            for i, picture in enumerate(pictures, batch * size):
                if i in missing:
                    yield i, picture


def _encoded(picture: np.ndarray, file: Path, quality: int) -> bytes:
    """A picture (C, H, W) in [0, 1] as the bytes of a file with that name."""
    from PIL import Image

    if not np.isfinite(picture).all():
        raise ValueError(
            f"save_preds: the model's answer for {file.name} holds NaN or infinity, so its weights "
            "or running statistics may too; load a checkpoint from before"
        )
    pixels = np.rint(255 * picture).astype(np.uint8)
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2))
    buffer, kind = io.BytesIO(), FORMATS[file.suffix.lower()]
    how = {"compress_level": 1} if kind == "PNG" else {"quality": quality, "subsampling": 0}
    image.save(buffer, kind, **how)
    return buffer.getvalue()


# ------------------------------------------------------------------------------ which files, where


def _checked_loader(loader: Any) -> DataLoader:
    if not isinstance(loader, DataLoader):
        raise TypeError(
            f"save_preds: needs a DataLoader, whose items have names, got {type(loader).__name__}"
        )
    if loader.shuffle or loader.drop_last:
        raise ValueError(
            "save_preds: this loader shuffles its items or leaves some out; use dl='train', which "
            "is data.fix_dl: all training items in order"
        )
    return loader


def _files(items: Any, out: Path, suffix: str | None) -> list[Path]:
    """The file of each item; ValueError where two have one, or the kind cannot be written."""
    if suffix is not None and str(suffix).lower() not in FORMATS:
        raise ValueError(f"save_preds: suffix must be one of {', '.join(FORMATS)}, got {suffix!r}")
    first: dict[Path, int] = {}
    for i in range(len(items)):
        name = items.name(i)
        if name.is_absolute() or ".." in name.parts:  # an item outside the list's folder
            name = Path(name.name)
        file = out / (name if suffix is None else name.with_suffix(suffix))
        if file.suffix.lower() not in FORMATS:
            raise ValueError(
                f"save_preds: {items.items[i]} has a name that is neither PNG's nor JPEG's; pass "
                "suffix='.png'"
            )
        if file in first:
            raise ValueError(
                f"save_preds: {items.items[first[file]]} and {items.items[i]} would both be "
                f"{file}; give the list a path that tells them apart, or leave suffix out"
            )
        first[file] = i
    return list(first)


def _sets(data: Any) -> list[Any]:
    parts = (getattr(data, name, None) for name in ("train_ds", "valid_ds", "test_ds"))
    return [part for part in parts if part is not None]


def _check_apart(out: Path, files: list[Path], sets: list[Any]) -> None:
    """Predictions must not land where the next `from_folder` takes them for photos."""
    homes = {}
    for part in sets:
        homes |= {folder: "inputs" for folder in _homes(part.x)}
        homes |= {folder: "targets" for folder in _homes(part.y)}
    for folder in {out, *(file.parent for file in files)}:
        resolved = folder.resolve()
        for home in (resolved, *resolved.parents):
            if home in homes:
                raise ValueError(
                    f"save_preds: {folder} is in {home}, where the {homes[home]} are, and would be "
                    "mixed with them; choose a folder beside it"
                )


def _homes(side: Any) -> set[Path]:
    """The folders that a list's files are in, and the one that has all of them.

    The latter only within the list's own path: two distant folders have nothing in common but /.
    """
    found = {item.parent for item in getattr(side, "items", ()) if isinstance(item, Path)}
    found = {folder.resolve() for folder in found}
    root = getattr(side, "path", None)
    if found and root is not None:
        with contextlib.suppress(ValueError):  # on two drives
            common = Path(os.path.commonpath(found))
            if common.is_relative_to(Path(root).resolve()):
                found.add(common)
    return found


# --------------------------------------------------------------------- whose predictions these are


def _recipe(learn: Learner, loader: DataLoader, quality: int) -> dict[str, Any]:
    """What decides the bytes of a prediction, as JSON holds it."""
    data = loader.dataset
    return {
        "model": type(learn.model).__name__,
        "weights": fingerprint(learn.model),
        "size": str(data.x.pixels.size),
        "transforms": [type(tfm).__name__ for tfm in data.tfms],
        "stats": loader.stats and [part.tolist() for part in loader.stats],
        "quality": quality,
    }


def fingerprint(model: nn.Module) -> str:
    """The SHA-256 of a model's state: names, shapes and values of parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        array = np.ascontiguousarray(host(value))
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


Note = dict[str, Any]  # {"recipe": whose they are, "files": names, written or to be written}


def _notes(out: Path, files: list[Path], recipe: Note, restart: bool) -> tuple[Note | None, Note]:
    """(the note in `out`, what it is to be); ValueError where the folder is something else's."""
    names = {file.relative_to(out).as_posix() for file in files}
    note = _read_note(out / NOTE)
    known = set(note["files"]) if note else set()
    strange = sorted(name for name in names - known if (out / name).exists())
    if strange:
        raise ValueError(
            f"save_preds: {out} holds pictures by these names that it did not write "
            f"({listed(strange, 3)}); choose another folder"
        )
    if note and not restart and note["recipe"] != recipe:
        old = note["recipe"]
        changed = [key for key in recipe if old.get(key) != recipe[key]]
        raise ValueError(
            f"save_preds: {out} holds predictions made otherwise ("
            + "; ".join(f"{key}: {old.get(key)!s:.40}, now {recipe[key]!s:.40}" for key in changed)
            + "); pass restart=True to replace them, or choose another folder"
        )
    return note, {"recipe": recipe, "files": sorted(names if restart else names | known)}


def _settle(out: Path, note: Note | None, now: Note, restart: bool) -> None:
    """Make `out` a folder of predictions by this recipe, and of nothing else by these names."""
    if note and restart:
        # the note goes last: until then it tells the truth about those that are left
        for name in note["files"]:
            (out / name).unlink(missing_ok=True)
    if now != note:
        content = json.dumps(now, indent=1).encode()
        write_atomically(out / NOTE, content, "save_preds")


def _read_note(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        note = json.loads(path.read_text())
        return {"recipe": dict(note["recipe"]), "files": list(note["files"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"save_preds: {path} does not say whose predictions these are ({error}); delete the "
            "folder, or choose another"
        ) from error
