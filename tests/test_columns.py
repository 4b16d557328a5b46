"""The layouts of ``kernels/columns.py``: their columns are im2col's, in an order of their own.

A layout says how its columns are ordered by `matrix`, and which output places they belong to by
`places`. `columns_of` believes both, and puts the columns back into im2col's order with them: if
that gives im2col's columns, then ``matrix(w) @ columns`` is the convolution.
"""

import contextlib
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference.checking import examples, many

from minitorch7 import backend as backends
from minitorch7.kernels import columns, threads
from minitorch7.kernels.windows import Window, im2col

KINDS = (columns.Picture, columns.Taps, columns.SharedRows)
POINT = Window((1, 1))


def picture(xp, channels, height, width, batch, dtype="float64"):
    """x (C, H, W, N) of whole numbers from 1 on, so that no two places look alike."""
    x = np.arange(1, 1 + channels * height * width * batch, dtype=dtype)
    return xp.asarray(x.reshape(channels, height, width, batch))


def columns_of(lay, rows):
    """The columns of all of `rows`, a block after the other, as im2col orders them: (K, oh, ow, N).

    Rows that no block held are NaN.
    """
    channels, _, _, batch = lay.x.shape
    every = lay.xp.arange(lay.depth).reshape(1, channels, *lay.window.kernel)
    order = lay.matrix(every)[0]  # which of im2col's lines stands where
    found = lay.xp.full((lay.depth, lay.oh, lay.ow, batch), np.nan, dtype=lay.x.dtype)
    for block, col in lay.blocks(rows):
        lay.places(found, block)[:, order] = col
    return found


def expected_columns(lay, rows):
    """The same by `im2col` alone."""
    batch = lay.x.shape[3]
    wanted = lay.xp.full((lay.depth, lay.oh, lay.ow, batch), np.nan, dtype=lay.x.dtype)
    col = im2col(lay.xp, lay.x, lay.window, rows, lay.ow)
    wanted[:, rows.start : rows.stop] = col.reshape(lay.depth, len(rows), lay.ow, batch)
    return wanted


@contextlib.contextmanager
def limits(**values):
    """The module's constants have these values inside the block, and memory holds no zeros."""
    plain = threads.workspace

    def workspace(count, dtype):
        memory = plain(count, dtype)
        memory[...] = np.nan
        return memory

    with contextlib.ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(mock.patch.object(columns, name, value))
        stack.enter_context(mock.patch.object(threads, "workspace", workspace))
        yield


@st.composite
def layouts(draw):
    """A way of laying out, a picture, a window that it can take, and how many places it visits.

    Any number of places is right, also none that fits: what lies beyond the picture is padding.
    """
    kind = draw(st.sampled_from(KINDS))
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    channels, batch = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    x = picture(np, channels, *size, batch, dtype)
    if kind is columns.Picture:
        return kind(np, x, POINT, *size)
    axes = [
        (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(0, 4)), d)
        for d in draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    ]
    window = Window(*zip(*axes, strict=True))
    if kind is columns.SharedRows:
        assume(window.kernel[0] >= window.stride[0])
        window = window._replace(dilation=(1, window.dilation[1]))
    fitting = window.output_size(size)
    oh, ow = (draw(st.integers(1, max(1, n) + 3)) for n in fitting)
    return kind(np, x, window, oh, ow)


@st.composite
def some_rows(draw, lay):
    start = draw(st.integers(0, lay.oh - 1))
    return range(start, draw(st.integers(start, lay.oh)))


# bytes of columns a block, bytes of laid rows kept, least columns a block: from next to nothing to
# more than there is
few_bytes = st.fixed_dictionaries(
    {
        "BLOCK_BYTES": st.sampled_from([1, 200, 1000, 5000, 10**9]),
        "ROOM_BYTES": st.sampled_from([1, 200, 1000, 5000, 10**9]),
        "FEWEST_COLUMNS": st.sampled_from([1, 5, 20, 10**6]),
    }
)


@many
@given(data=st.data(), lay=layouts(), sizes=few_bytes)
def test_the_columns_are_those_of_im2col(data, lay, sizes):
    rows = data.draw(some_rows(lay))
    with limits(**sizes):
        np.testing.assert_array_equal(columns_of(lay, rows), expected_columns(lay, rows))


def test_rows_a_power_of_two_long():
    """256 elements a row: they are laid a little further apart, and seen without what is between"""
    x = picture(np, 2, 4, 2, 256)
    for ow in (1, 2, 3):
        lay = columns.SharedRows(np, x, Window((3, 3), padding=(1, 1)), 4, ow)
        for sizes in (dict(BLOCK_BYTES=1), dict(BLOCK_BYTES=1, ROOM_BYTES=1), {}):
            with limits(**sizes):
                found, expected = columns_of(lay, range(4)), expected_columns(lay, range(4))
                apart = {col.strides[1] // 8 for _, col in lay.blocks(range(4))}
            np.testing.assert_array_equal(found, expected, strict=True)
            assert apart == {ow * 256 + columns.SKEW}
    lay = columns.SharedRows(np, x[..., :255], Window((3, 3)), 2, 1)
    assert {col.strides[1] // 8 for _, col in lay.blocks(range(2))} == {255}


def test_columns_on_every_backend(backend):
    """`Picture` and `Taps` take the arrays of either library."""
    xp = backends.library(backend)
    x = picture(xp, 2, 4, 3, 2)
    for lay in (
        columns.Picture(xp, x, POINT, 4, 3),
        columns.Taps(xp, x, Window((2, 3), (2, 1), (1, 0), (1, 2)), 3, 2),
    ):
        found = columns_of(lay, range(lay.oh))
        assert bool((found == expected_columns(lay, range(lay.oh))).all())
        w = picture(xp, 5, 2, *lay.window.kernel)
        assert bool((lay.weights(lay.matrix(w)) == w).all())


@examples
@given(lay=layouts(), outputs=st.integers(1, 3))
def test_weights_undo_matrix(lay, outputs):
    w = picture(np, outputs, lay.x.shape[0], *lay.window.kernel)
    assert lay.matrix(w).shape == (outputs, lay.depth)
    np.testing.assert_array_equal(lay.weights(lay.matrix(w)), w, strict=True)


@many
@given(data=st.data(), lay=layouts(), channels=st.integers(1, 3))
def test_places_are_views_of_every_place_once(data, lay, channels):
    rows = data.draw(some_rows(lay))
    y = np.zeros((channels, lay.oh, lay.ow, lay.x.shape[3]))
    for block, col in lay.blocks(rows):
        places = lay.places(y, block)
        assert places.shape == (len(col), channels, col.shape[2])
        places += 1  # into y, or the sum below does not come to one
    counts = np.zeros_like(y)
    counts[:, rows.start : rows.stop] = 1
    np.testing.assert_array_equal(y, counts)


@many
@given(data=st.data(), lay=layouts(), sizes=few_bytes)
def test_blocks_are_the_rows_in_order(data, lay, sizes):
    rows = data.draw(some_rows(lay))
    with limits(**sizes):
        found = [block for block, _ in lay.blocks(rows)]
    assert [i for block in found for i in block] == list(rows)
    lengths = [len(block) for block in found]
    assert len(set(lengths[:-1])) <= 1 and lengths[-1:] <= lengths[:1]
    assert not rows or min(lengths) > 0


# ------------------------------------------------------------------------- how they spend memory


def lengths(lay, rows=None):
    return [len(block) for block, _ in lay.blocks(range(lay.oh) if rows is None else rows)]


def test_a_picture_is_one_block_of_its_own_memory():
    x = picture(np, 3, 4, 5, 2)
    lay = columns.Picture(np, x, POINT, 4, 5)
    assert lay.room(range(4)) == 0
    ((rows, col),) = lay.blocks(range(1, 3))
    assert rows == range(1, 3) and np.shares_memory(col, x)


def test_a_block_of_taps_fits_its_bytes_unless_it_has_too_few_columns(backend):
    xp = backends.library(backend)
    x = picture(xp, 3, 7, 4, 2)
    lay = columns.Taps(xp, x, Window((3, 3), padding=(1, 1)), 7, 4)
    row = 3 * 9 * 4 * 2 * 8  # bytes of the columns of one output row
    for sizes, wanted in (
        (dict(BLOCK_BYTES=7 * row, FEWEST_COLUMNS=1), [7]),
        (dict(BLOCK_BYTES=7 * row - 1, FEWEST_COLUMNS=1), [6, 1]),
        (dict(BLOCK_BYTES=2 * row, FEWEST_COLUMNS=1), [2, 2, 2, 1]),
        (dict(BLOCK_BYTES=2 * row, FEWEST_COLUMNS=3 * 8), [3, 3, 1]),
        (dict(BLOCK_BYTES=2 * row, FEWEST_COLUMNS=3 * 8 + 1), [4, 3]),
        (dict(BLOCK_BYTES=0, FEWEST_COLUMNS=0), [1] * 7),
    ):
        with limits(**sizes):
            wanted = wanted if xp is np else [7]  # a GPU: one launch
            assert lengths(lay) == wanted
            assert lay.room(range(7)) == wanted[0] * row // 8
            assert lay.room(range(6, 7)) == row // 8
    assert lengths(lay, range(0)) == []


def test_rows_at_a_time_of_nothing(backend):
    """An empty batch, and no rows; on a GPU all rows, however large."""
    xp = backends.library(backend)
    with limits(FEWEST_COLUMNS=5, BLOCK_BYTES=100):
        assert columns.rows_at_a_time(xp, 8, 3, 0) == (100 if xp is np else 3)
        assert columns.rows_at_a_time(xp, 1000, 0, 1000) == 1
        assert columns.rows_at_a_time(xp, 1000, 9, 1000) == (1 if xp is np else 9)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_block_of_shared_rows_fits_its_bytes(stride):
    """The picture rows that its output rows share are counted once."""
    x = picture(np, 2, 20, 5, 3)
    lay = columns.SharedRows(np, x, Window((3, 2), (stride, 1)), 6, 4)
    row = 2 * 2 * 4 * 3 * 8  # bytes of one laid row
    for step in (1, 2, 5):
        needed = (3 + (step - 1) * stride) * row
        with limits(BLOCK_BYTES=needed):
            assert max(lengths(lay)) == step
        with limits(BLOCK_BYTES=needed - 1):
            assert max(lengths(lay)) == max(1, step - 1)
    with limits(BLOCK_BYTES=10**9):
        assert lengths(lay) == [6]


ROOMS = [  # stride, output rows a block, picture rows there is room for, first output row
    (stride, step, room, start)
    for stride in (1, 2, 3)
    for step in (1, 2, 8)
    for room in (0, 6, 7, 12, 100)
    for start in (0, 3)
]


@pytest.mark.parametrize(("stride", "step", "room", "start"), ROOMS)
def test_shared_rows_are_laid_once_while_there_is_room(stride, step, room, start):
    """With room for all, every row is laid once; with room for a block, only blocks share none."""
    kh, rows = 3, range(start, 8)
    x = picture(np, 2, 24, 5, 3)
    lay = columns.SharedRows(np, x, Window((kh, 2), (stride, 1), (1, 0)), 8, 4)
    row = 2 * 2 * 4 * 3 * 8
    laid, asked, plain = [], [], columns.SharedRows._lay

    def _lay(self, memory, first):
        laid.extend(range(first, first + len(memory)))
        plain(self, memory, first)

    with limits(BLOCK_BYTES=(kh + (step - 1) * stride) * row, ROOM_BYTES=room * row):
        kept = threads.workspace

        def workspace(count, dtype):
            asked.append(count)
            return kept(count, dtype)

        with (
            mock.patch.object(columns.SharedRows, "_lay", _lay),
            mock.patch.object(threads, "workspace", workspace),
        ):
            found = columns_of(lay, rows)
        asked_for = lay.room(rows)
    np.testing.assert_array_equal(found, expected_columns(lay, rows))
    blocks = list(threads.steps(rows, step))
    spans = [range(b.start * stride, (b.stop - 1) * stride + kh) for b in blocks]
    every = spans[-1].stop - spans[0].start
    space = min(every, max(room, len(spans[0])))
    assert asked == [space * row // 8] == [asked_for]  # once, and no more than is of use
    expected, begin, end = [], spans[0].start, spans[0].start
    for span in spans:
        if span.stop - begin > space:
            begin = end = span.start
        expected += range(end, span.stop)
        end = span.stop
    assert laid == expected
    assert room < every or len(laid) == len(set(laid))


def test_into_how_many_parts_a_layout_may_be_cut():
    x = picture(np, 1, 6, 4, 5)
    with limits(FEWEST_COLUMNS=30):
        assert columns.Taps(np, x, Window((2, 1)), 5, 4).most_parts() == 3  # ⌊5·4·5/30⌋
        assert columns.Picture(np, x, POINT, 6, 4).most_parts() == 4
        assert columns.Taps(np, x[..., :0], POINT, 6, 4).most_parts() == 1
    assert columns.SharedRows(np, x, Window((2, 1)), 5, 4).most_parts() == 5
    assert columns.SharedRows(np, x, Window((2, 1)), 0, 4).most_parts() == 1


CHOICES = [  # (window, places, kind for long rows): the picture has 6 rows and 4 columns
    (POINT, (6, 4), columns.Picture),
    (POINT, (6, 5), columns.SharedRows),
    (POINT, (7, 4), columns.SharedRows),
    (POINT._replace(padding=(0, 1)), (6, 4), columns.SharedRows),
    (POINT._replace(padding=(1, 0)), (6, 4), columns.SharedRows),
    (POINT._replace(stride=(1, 2)), (6, 4), columns.Taps),
    (POINT._replace(stride=(2, 1)), (6, 4), columns.Taps),
    (POINT._replace(stride=(1, 2)), (6, 2), columns.SharedRows),
    (POINT._replace(stride=(2, 1)), (3, 4), columns.Taps),
    (Window((1, 2)), (6, 4), columns.SharedRows),
    (Window((2, 1)), (6, 4), columns.SharedRows),
    (Window((2, 1), stride=(2, 1)), (3, 4), columns.SharedRows),
    (Window((1, 2), stride=(2, 1)), (3, 3), columns.Taps),
    (Window((3, 3)), (4, 2), columns.SharedRows),
    (Window((3, 3), stride=(3, 1)), (2, 2), columns.SharedRows),
    (Window((3, 3), stride=(4, 1)), (1, 2), columns.Taps),
    (Window((2, 2), dilation=(1, 2)), (5, 2), columns.SharedRows),
    (Window((2, 2), dilation=(2, 1)), (4, 3), columns.Taps),
]


@pytest.mark.parametrize(("window", "places", "kind"), CHOICES)
def test_the_layout_that_is_chosen(backend, window, places, kind):
    """Shared rows where the processor's output rows are long enough and have rows to share."""
    xp = backends.library(backend)
    row = places[1] * 3
    for long_row, chosen in ((row, kind), (row + 1, columns.Taps)):
        if kind is columns.Picture or xp is not np:
            chosen = columns.Picture if kind is columns.Picture else columns.Taps
        with limits(LONG_ROW=long_row):
            lay = columns.layout(xp, picture(xp, 2, 6, 4, 3), window, *places)
        assert type(lay) is chosen
        assert (lay.oh, lay.ow, lay.window) == (*places, window)
        assert lay.depth == 2 * window.kernel[0] * window.kernel[1]
