"""Reading arguments that may be one number or several."""

import numpy as np


def pair(value):
    """(a, b) as it is, and one number a as (a, a)."""
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def axes(dim, ndim):
    """The axes that `dim` names, counted from the front; None names all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    return tuple(sorted(d % ndim for d in dims)) if ndim else ()


def fibres(x, dim):
    """The 1-d pieces of `x` along the axis `dim`: pairs of (position on the other axes, piece)."""
    moved = np.moveaxis(x, dim, -1)
    for position in np.ndindex(moved.shape[:-1]):
        yield position, moved[position]


def groups_of(x, dim):
    """What each place of a reduction over `dim` reduces: pairs of (place, flat values).

    The place has one coordinate for every axis, 0 on those that are reduced (as with keepdim).
    """
    reduced = axes(dim, x.ndim)
    kept_shape = tuple(1 if axis in reduced else size for axis, size in enumerate(x.shape))
    for place in np.ndindex(kept_shape):
        window = tuple(
            slice(None) if axis in reduced else slice(at, at + 1) for axis, at in enumerate(place)
        )
        yield place, x[window].reshape(-1)


def kept_shape(x, dim):
    """The shape of a reduction of `x` over `dim` with keepdim=True."""
    reduced = axes(dim, x.ndim)
    return tuple(1 if axis in reduced else size for axis, size in enumerate(x.shape))


def drop_axes(y, x, dim, keepdim):
    """`y`, a reduction with its axes kept, in the shape that `keepdim` asks for."""
    if keepdim:
        return y
    reduced = axes(dim, x.ndim)
    return y.reshape(tuple(size for axis, size in enumerate(y.shape) if axis not in reduced))
