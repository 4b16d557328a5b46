"""The command line of `restorer`: photos in, better photos out.

    python -m minitorch7.vision.restore photo.jpg --model superres.safetensors --out better.png

The package does not import this file, so that ``python -m`` finds it unread.
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import backend as backends
from ..data.errors import DataError, DataNotFound
from ..data.folders import find_images
from ..files import write_atomically
from ..learner import CheckpointError
from .restorer import Restorer, enlarged, load_restorer, opened

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
HELP = """\
Make photos better with a U-Net that was trained for it.

The model is one file, written after a training by
    save_restorer(learn.model, "superres.safetensors", "resnet34", imagenet_stats)
"""
EXAMPLES = """\
examples:
  one photo, twice as high and wide
      restore photo.jpg --model superres.safetensors --out better.png --enlarge 2
  all photos in a folder and those below it, each also beside what it was
      restore holidays --model superres.safetensors --out holidays-better --compare
  a GPU, and smaller tiles because its memory is small
      restore scan.png --model restore.safetensors --out scan2.png --backend cupy --tile 256

A photo already restored is left alone, so a stopped run goes on where it was. Turned photos come
out upright, transparent ones on white. Exit status: 0 all is done, 1 some photos could not be
read, 2 nothing can be done as asked."""


class Refused(Exception):
    """What was asked for cannot be done; the message is the line that the user sees."""


class Job(NamedTuple):
    """One photo and the files it becomes."""

    photo: Path
    out: Path
    strip: Path | None

    @property
    def files(self) -> list[Path]:
        return [self.out] if self.strip is None else [self.out, self.strip]


def parser() -> argparse.ArgumentParser:
    """The flags, each with what it is for."""
    flags = argparse.ArgumentParser(
        prog="python -m minitorch7.vision.restore",
        description=HELP,
        epilog=EXAMPLES.replace("      restore", "      python -m minitorch7.vision.restore"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = flags.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="an image file, or a folder of them")
    add("--model", required=True, type=Path, metavar="FILE", help="written by save_restorer")
    add(
        "--out",
        required=True,
        type=Path,
        metavar="PATH",
        help="for one photo a .png or .jpg file; else a folder, where photos keep their names",
    )
    add("--enlarge", type=float, default=1, metavar="N", help="N times as high and wide first (1)")
    add("--tile", type=int, metavar="N", help="pixels on a side of what is worked on at once (512)")
    add("--backend", choices=backends.NAMES, default=backends.active(), help="processor or GPU")
    add("--compare", action="store_true", help="also write before and after, side by side")
    add("--force", action="store_true", help="replace files that exist (never the photos)")
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Restore what the command line names; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        jobs = _jobs(options)
        todo = [job for job in jobs if options.force or not all(f.exists() for f in job.files)]
        if not todo:
            raise Refused(f"already there: {_first(job.out for job in jobs)}; use --force or --out")
        restorer = load_restorer(options.model, options.backend)
        failed = _restore_all(restorer, todo, options)
    except (Refused, ValueError, CheckpointError, backends.BackendError, OSError) as error:
        text = str(getattr(error, "strerror", None) or error)
        print(text if text.startswith("restore: ") else f"restore: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("restore: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    left = len(jobs) - len(todo)
    if len(jobs) > 1 or failed:
        there = f", {left:,} left alone as they exist (--force replaces them)" if left else ""
        print(f"{len(todo) - len(failed):,} restored{there}, {len(failed):,} failed")
    return 1 if failed else 0


def _restore_all(restorer: Restorer, jobs: list[Job], options: Any) -> list[Job]:
    """Work through the jobs and say what became of each; those that failed."""
    failed = []
    for number, job in enumerate(jobs, 1):
        count = f"[{number}/{len(jobs)}] " if len(jobs) > 1 else ""
        try:
            with warnings.catch_warnings(record=True, action="always") as said:
                before = enlarged(opened(job.photo), options.enlarge)
                after = restorer.restore(before, tile=options.tile)
        except (DataError, MemoryError) as error:
            text = f"restore: no memory for {job.photo}; try a smaller --tile"
            print(f"{count}{error if isinstance(error, DataError) else text}", file=sys.stderr)
            failed.append(job)
            continue
        for warning in said:
            print(f"{count}{warning.message}", file=sys.stderr)
        for file in job.files:
            if options.force or not file.exists():
                _write(after if file == job.out else side_by_side(before, after), file)
        print(f"{count}{job.photo} -> {job.out}", flush=True)
    return failed


def side_by_side(before: Any, after: Any, gap: int = 8) -> Any:
    """Two Pillow images in one, `gap` white pixels between them."""
    from PIL import Image

    strip = Image.new("RGB", (before.width + gap + after.width, before.height), "white")
    strip.paste(before, (0, 0))
    strip.paste(after, (before.width + gap, 0))
    return strip


def _write(image: Any, path: Path) -> None:
    buffer, kind = io.BytesIO(), FORMATS[path.suffix.lower()]
    how = {"compress_level": 1} if kind == "PNG" else {"quality": 95, "subsampling": 0}
    image.save(buffer, kind, **how)
    write_atomically(path, buffer.getvalue(), "restore")


# ------------------------------------------------------------------------------ which files, where


def _jobs(options: Any) -> list[Job]:
    """What is to be made of what, checked before the first photo is opened."""
    if not 1 <= options.enlarge <= 64:
        raise Refused(f"--enlarge must be from 1 to 64, got {options.enlarge:g}")
    if options.tile is not None and options.tile < 1:
        raise Refused(f"--tile must be at least 1, got {options.tile}")
    named = [pair for photo in options.photos for pair in _named(photo, options.out)]
    if not named:
        raise Refused(f"no photos in {_first(options.photos)} besides those in --out")
    if options.out.suffix.lower() in FORMATS and not options.out.is_dir():
        if len(named) > 1 or options.photos[0].is_dir():
            raise Refused(f"--out {options.out} is one file, for one photo; name a folder instead")
        jobs = [_job(named[0][0], options.out, options.compare)]
    else:
        if options.out.is_file():
            raise Refused(f"--out {options.out} must be a folder, or end in {', '.join(FORMATS)}")
        jobs = [_job(photo, options.out / name, options.compare) for photo, name in named]
    _check(jobs)
    return jobs


def _named(photo: Path, out: Path) -> list[tuple[Path, Path]]:
    """(file, name below the output folder) of a photo, or of those in a folder."""
    if photo.is_dir():
        inside = out.resolve()
        there = find_images(photo, function="restore")
        files = [file for file in there if not file.resolve().is_relative_to(inside)]
        return [(file, file.relative_to(photo)) for file in files]
    if not photo.is_file():
        raise DataNotFound(f"there is no file or folder {photo}")
    return [(photo, Path(photo.name))]


def _job(photo: Path, out: Path, compare: bool) -> Job:
    if out.suffix.lower() not in FORMATS:
        out = out.with_name(out.name + ".png")
    return Job(photo, out, out.with_name(f"{out.stem}_compare{out.suffix}") if compare else None)


def _check(jobs: list[Job]) -> None:
    """No photo is written over, and no file is written twice."""
    photos = {_identity(job.photo): job.photo for job in jobs}
    made: dict[Path, Path] = {}
    for job in jobs:
        for file in job.files:
            if file.exists() and _identity(file) in photos:
                raise Refused(f"{file} is one of the photos; choose another --out")
            if file in made:
                raise Refused(f"{made[file]} and {job.photo} would both become {file}; rename one")
            made[file] = job.photo


def _identity(file: Path) -> tuple[int, int]:
    """The same for all names of one file, by links too."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _first(paths: Any) -> str:
    first, *more = paths
    return f"{first} and {len(more):,} more" if more else str(first)


if __name__ == "__main__":
    sys.exit(main())
