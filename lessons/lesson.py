"""What every lesson needs and none is about: flags, pictures, claims, figures.

For those who write lessons. What the text says of a result rots unless something checks
it. So put the sentence that matters into the cell that computes it:

    lesson.claim("with ICNR every block has one colour", spread == 0)

prints the sentence with a tick, and stops the lesson where it does not hold: the tests
run every lesson in --quick, and the book runs them too. What only the whole training
shows is `lesson.claim(text, condition, whole=options)`: a taste prints it as not
judged. Claim what a reader would miss if it went: an order, a zero, a bound with room
to spare; not the last digit of one seed.

In a notebook there is no command line; flags come from the environment:
MINITORCH7_LESSON="--quick --seed 1".
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import minitorch7 as mt
from minitorch7 import distributed, files, plot
from minitorch7.data import (
    DataNotFound,
    ImageList,
    SegmentationSource,
    camvid,
    drawn_digits,
    drawn_photos,
    drawn_streets,
    mnist,
    pets,
)
from minitorch7.data.folders import find_images
from minitorch7.learner import Learner
from minitorch7.vision import WeightsNotFound


def in_notebook() -> bool:
    """Whether this runs inside IPython or Jupyter, which have no command line."""
    return "ipykernel" in sys.modules or hasattr(sys, "ps1")


def options_of(doc: str, out: str, parallel: bool = True) -> argparse.Namespace:
    """The flags that all lessons share, parsed.

    A notebook has no command line: there they are those of MINITORCH7_LESSON.

    doc  what --help says of the lesson;  out  the default folder for pictures;
    parallel  whether several processes can share the work
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--backend", choices=["numpy", "cupy"], help="processor or NVIDIA GPU"
    )
    parser.add_argument("--data", metavar="DIR", help="folder with the data set")
    parser.add_argument("--out", metavar="DIR", help=f"pictures, checkpoints ({out})")
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="at most N epochs a fit"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a taste, in about a minute"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights and batches (0)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads for products")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="train anew, also what was trained before",
    )
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes: mpiexec -n 2 python lesson.py --distributed",
    )
    options = parser.parse_args(_flags_of_notebook() if in_notebook() else None)
    if options.epochs is not None and options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    if options.seed < 0:
        parser.error(f"--seed must be at least 0, got {options.seed}")
    if options.backend:
        try:
            mt.use(options.backend)
        except mt.BackendError as error:
            parser.error(str(error))
    if options.threads:
        mt.set_num_threads(options.threads)
    if options.distributed:
        if not parallel:
            parser.error(
                "--distributed: this lesson's models keep a state: one process"
            )
        join_others()
    # a taste has a folder of its own: the whole lesson cannot go on from its weights
    options.out = Path(options.out or (f"{out}_quick" if options.quick else out))
    mt.manual_seed(options.seed)
    return options


def _flags_of_notebook() -> list[str]:
    return shlex.split(os.environ.get("MINITORCH7_LESSON", ""))


def join_others() -> None:
    """Train with the other processes that mpiexec started; the first alone prints."""
    distributed.init()
    Learner.default_callbacks.append(distributed.DataParallel())
    if distributed.rank():
        sys.stdout = open(os.devnull, "w")
        files.writes = False


once = distributed.rank_zero_first  # of several processes, one makes the files


def show(figure: Any, options: argparse.Namespace, name: str) -> None:
    """Save a picture under --out and say where; a notebook shows it, too."""
    path = plot.save(figure, options.out / f"{name}.png")
    print(f"picture: {path}")
    if in_notebook():
        from IPython.display import display

        display(figure)


class NoLongerHolds(AssertionError):
    """What a lesson's text says is not what its run shows."""


def claim(what: str, holds: Any, whole: argparse.Namespace | None = None) -> None:
    """Print what the text says with a tick; NoLongerHolds where the run says otherwise.

    whole  the options, if the claim is about the whole lesson: a taste (--quick, or
           fewer --epochs) prints it without judging
    """
    if whole is not None and (whole.quick or whole.epochs):
        print(f"  (not judged by a taste) {what}")
        return
    if not holds:
        raise NoLongerHolds(f"this no longer holds: {what}")
    print(f"✓ {what}")


def digits(options: argparse.Namespace) -> ImageList:
    """MNIST where it is found or can be fetched; else digits drawn with a font."""
    try:
        return mnist(options.data)
    except DataNotFound as error:
        if options.data is not None:
            raise SystemExit(str(error)) from None
        print("MNIST was neither found nor fetched: training on drawn digits instead.")
        return drawn_digits()


def streets(options: argparse.Namespace) -> SegmentationSource:
    """CamVid where it is found or can be fetched; else streets drawn with Pillow."""
    try:
        return camvid(options.data)
    except DataNotFound as error:
        if options.data is not None:
            raise SystemExit(str(error)) from None
        print("CamVid was neither found nor fetched: drawn streets instead.")
        if options.quick:
            return drawn_streets(40, (48, 64), n_valid=16)
        return drawn_streets(size=(96, 128))


def photos(options: argparse.Namespace) -> Path:
    """A folder of photos: --data, the pets if they are found or fetched, or drawn."""
    with once():
        return _photos(options)


def _photos(options: argparse.Namespace) -> Path:
    home = Path(options.data or ".")
    if options.data is not None:
        if not home.is_dir():
            raise SystemExit(f"--data: {home} is not a folder")
        for folder in (home / "pets" / "images", home / "images", home):
            if any(folder.glob("*.jpg")) or any(folder.glob("*.png")):
                return some_of(folder, options)
        print(f"There are no photos in {home}, its images/ or its pets/images/.")
    try:
        return some_of(pets(), options)
    except DataNotFound:
        print("The pets were neither found nor fetched: drawn photos instead.")
        n, side = (60, 96) if options.quick else (300, 192)
        return drawn_photos(options.out / "drawn", n, (side, side))


def some_of(folder: Path, options: argparse.Namespace) -> Path:
    """The folder on a GPU; else one with 300 of its photos, or 60 in --quick."""
    files, most = find_images(folder), 60 if options.quick else 300
    if len(files) <= most or (mt.backend.active() == "cupy" and not options.quick):
        return folder
    chosen = options.out / f"photos_{most}"
    for i in range(most):
        file = files[i * len(files) // most]
        copy = chosen / file.relative_to(folder)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    print(f"{most} of {len(files):,} photos, evenly spread: {chosen}")
    return chosen


def weights_for(arch: Any) -> bool:
    """Whether the published weights of `arch` can be had; says so if not."""
    try:
        arch(pretrained=True)
        return True
    except WeightsNotFound as error:
        print(error)
        print("Training from nothing instead: expect less than the lesson's figures.")
        return False


def epochs_of(options: argparse.Namespace, epochs: int, taste: int = 2) -> int:
    """How many epochs to train: as planned, --epochs at most, a `taste` in --quick."""
    return min(taste if options.quick else epochs, options.epochs or epochs)


def beside_published(
    options: argparse.Namespace,
    name: str,
    accuracy: float,
    published: list[tuple[str, float]],
) -> None:
    """Print one accuracy and, under it, what others printed for the same network."""
    print(f"{name}: accuracy {accuracy:.4f}, {100 * (1 - accuracy):.2f} % wrong")
    if options.quick or options.epochs:
        print("    (a taste: fewer epochs than the figures below)")
    for source, figure in published:
        print(f"    {source}: {figure:.4f}")
