"""The lesson's ready-made set of transforms."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import DataError
from .geometry import STRONGEST_WARP, Dihedral, FlipLR, RandZoom, Rotate, SymmetricWarp
from .lighting import Brightness, Contrast
from .transforms import Transform, check_number


def get_transforms(
    do_flip: bool = True,
    flip_vert: bool = False,
    max_rotate: float = 10.0,
    max_zoom: float = 1.1,
    max_lighting: float = 0.2,
    max_warp: float = 0.2,
    p_affine: float = 0.75,
    p_lighting: float = 0.75,
    xtra_tfms: Transform | Sequence[Transform] | None = None,
) -> tuple[list[Transform], list[Transform]]:
    """(training, validation) lists for ``.transform(get_transforms())``, in running order.

    do_flip       mirror left and right with probability ½
    flip_vert     with do_flip: lay the picture down in any of 8 ways, as in photographs from above
    max_rotate    turn by up to so many degrees to either side, with probability p_affine
    max_zoom      enlarge by up to this factor about a random focus, with probability p_affine
    max_warp      look from another side: corners move by up to this, of half a side; p_affine
    max_lighting  brightness 0.5 (1 ± max_lighting), with probability p_lighting, and contrast from
                  1 - max_lighting to 1 / (1 - max_lighting), with probability p_lighting
    xtra_tfms     more of them for training, put where their `order` says

    A maximum of 0 (of 1, for max_zoom) leaves its transform out. Validation pictures are not
    varied. fastai's lists also hold the crop to a common size, which here is the business of
    ``transform(size=...)``. DataError for maxima and probabilities that make no sense.
    """
    name = "get_transforms"
    degrees = check_number(name, "max_rotate", max_rotate, 0, 180)
    zoom = check_number(name, "max_zoom", max_zoom, 1)
    lighting = check_number(name, "max_lighting", max_lighting, 0, 0.99)
    warp = check_number(name, "max_warp", max_warp, 0, STRONGEST_WARP)
    affine = check_number(name, "p_affine", p_affine, 0, 1)
    light = check_number(name, "p_lighting", p_lighting, 0, 1)
    train: list[Transform] = []
    if do_flip:
        train.append(Dihedral() if flip_vert else FlipLR(p=0.5))
    if degrees:
        train.append(Rotate((-degrees, degrees), affine))
    if zoom > 1:
        train.append(RandZoom((1.0, zoom), affine))
    if warp:
        train.append(SymmetricWarp((-warp, warp), affine))
    if lighting:
        train.append(Brightness((0.5 * (1 - lighting), 0.5 * (1 + lighting)), light))
        train.append(Contrast((1 - lighting, 1 / (1 - lighting)), light))
    return sorted(train + _extra(xtra_tfms), key=lambda t: t.order), []


def _extra(xtra_tfms: Transform | Sequence[Transform] | None) -> list[Transform]:
    extra = [xtra_tfms] if isinstance(xtra_tfms, Transform) else list(xtra_tfms or [])
    for transform in extra:
        if not isinstance(transform, Transform):
            raise DataError(
                f"get_transforms: xtra_tfms must be Transform objects, got {transform!r}; derive "
                "it from minitorch7.data.Transform"
            )
    return extra
