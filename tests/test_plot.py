"""Pictures: what is drawn, that nothing leaks, that files are whole."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitorch7 import plot

PICTURES = np.linspace(0, 1, 5 * 3 * 6 * 4).reshape(5, 3, 6, 4)


def every_kind():
    """One figure of each kind."""
    rng = np.random.default_rng(0)
    return {
        "image_grid": plot.image_grid(PICTURES, titles=list("abcde"), suptitle="five"),
        "digits": plot.image_grid(rng.random((4, 8, 8)), cmap="binary"),
        "masks": plot.image_grid(PICTURES, masks=rng.integers(0, 32, (5, 6, 4))),
        "plot_multi": plot.plot_multi(lambda i, j, ax: ax.plot([i, j]), 2, 3),
        "lr_curve": plot.lr_curve(np.geomspace(1e-6, 1, 40), rng.random(40), suggestion=1e-3),
        "schedule": plot.schedule(np.linspace(0, 1, 9), np.linspace(1, 0, 9)),
        "groups": plot.schedule(rng.random((9, 3))),
        "loss_curves": plot.loss_curves(rng.random(30), [0.5, 0.2]),
        "curves": plot.curves(np.arange(9), {"one": rng.random(9), "two": rng.random(9)}, "x"),
        "metric_curves": plot.metric_curves({"accuracy": [0.5, 0.9], "dice": [0.1, 0.4]}),
        "surfaces": plot.surfaces([-1, 0, 1], {"a": rng.random((3, 3)), "b": np.eye(3)}, "α"),
        "flat": plot.surfaces([0, 1], {"a": np.ones((2, 2))}, log=True),
        "confusion": plot.confusion([[3, 1], [0, 4]], ["ant", "bee"]),
        "bar_chart": plot.bar_chart(["numpy", "torch"], [35.0, 24.0], [3.0, 2.0], "ms"),
    }


@pytest.mark.filterwarnings("error")
def test_every_picture_is_drawn_without_warnings(tmp_path):
    for name, figure in every_kind().items():
        path = plot.save(figure, tmp_path / f"{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_notebook_can_show_a_figure():
    assert plot.bar_chart(["a"], [1])._repr_png_().startswith(b"\x89PNG")


def test_no_pyplot_and_nothing_at_import(tmp_path):
    code = (
        "import sys, minitorch7.plot as p; assert 'matplotlib' not in sys.modules;"
        "p.save(p.bar_chart(['a'], [1]), sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("DISPLAY", None)
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    assert subprocess.run(command, env=environment).returncode == 0


# ------------------------------------------------------------------------------------------- images


def shown(ax):
    return np.asarray(ax.images[0].get_array())


def test_images_keep_their_values_and_places():
    figure = plot.image_grid(PICTURES, cols=2)
    assert len(figure.axes) == 6  # 3 rows of 2, the last cell empty
    for picture, ax in zip(PICTURES, figure.axes, strict=False):
        np.testing.assert_allclose(shown(ax), picture.transpose(1, 2, 0), atol=1e-6)
    assert not figure.axes[5].images


def test_one_channel_images_have_a_fixed_scale_and_a_colour_map():
    ax = plot.image_grid(np.full((1, 1, 4, 4), 0.3), cmap="binary").axes[0]
    assert ax.images[0].get_clim() == (0, 1) and ax.images[0].get_cmap().name == "binary"
    assert plot.image_grid(np.zeros((1, 4, 4))).axes[0].images[0].get_cmap().name == "gray"


def test_values_outside_are_clipped():
    assert shown(plot.image_grid([np.array([[-1.0, 2.0]])]).axes[0]).tolist() == [[0, 1]]


@pytest.mark.parametrize(("n", "grid"), [(1, (1, 1)), (4, (2, 2)), (5, (2, 3)), (10, (3, 4))])
def test_the_grid_is_nearly_square(n, grid):
    figure = plot.image_grid(np.zeros((n, 2, 2)))
    spec = figure.axes[0].get_gridspec()
    assert (spec.nrows, spec.ncols) == grid


def test_pictures_without_names():
    assert plot.image_grid(np.zeros((2, 2, 2)), []).axes[0].get_title() == ""


def test_titles_have_colours():
    figure = plot.image_grid(np.zeros((2, 2, 2)), ["a", "b"], title_colors=["black", "red"])
    assert [ax.title.get_color() for ax in figure.axes] == ["black", "red"]


def test_masks_have_one_colour_a_class():
    figure = plot.image_grid(PICTURES[:2], masks=[np.full((6, 4), 21), np.full((1, 6, 4), 1)])
    layers = [ax.images[1] for ax in figure.axes]
    assert [layer.get_array()[0, 0] for layer in layers] == [1, 1]  # class 21 is drawn as 1
    assert layers[0].get_alpha() == 0.5 and layers[0].get_clim() == (0, 19)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": []}, "there are no images"),
        (
            {"images": np.zeros((2, 6, 6, 3))},
            r"got shape \(6, 6, 3\); the channel axis comes first",
        ),
        ({"images": np.zeros((2, 4, 4)), "titles": ["a"]}, "2 images but 1 titles"),
        ({"images": np.zeros((5, 4, 4)), "rows": 2, "cols": 2}, "5 images do not fit 2 rows of 2"),
    ],
)
def test_images_that_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot.image_grid(**arguments)


# ------------------------------------------------------------------------------------------- curves


def xy(figure, axes=0, line=0):
    return figure.axes[axes].lines[line].get_xydata().T


def test_the_finders_curve_skips_its_ends_where_it_can():
    lrs = np.geomspace(1e-5, 1, 30)
    np.testing.assert_allclose(xy(plot.lr_curve(lrs, lrs))[0], lrs[10:-5])
    np.testing.assert_allclose(xy(plot.lr_curve(lrs, lrs, 0, 0))[0], lrs)
    np.testing.assert_allclose(xy(plot.lr_curve(lrs[:12], lrs[:12]))[0], lrs[:12])


def test_axes_are_labelled():
    labels = {
        "lr_curve": ("learning rate (log scale)", "smoothed training loss"),
        "schedule": ("Batches processed", "learning rate"),
        "loss_curves": ("Batches processed", "loss"),
        "metric_curves": ("epoch", "accuracy"),
        "confusion": ("Predicted", "Actual"),
    }
    figures = every_kind()
    for name, expected in labels.items():
        ax = figures[name].axes[0]
        assert (ax.get_xlabel(), ax.get_ylabel()) == expected


def test_validation_losses_stand_at_the_ends_of_the_epochs():
    figure = plot.loss_curves(np.ones(30), [3, 2, 1])
    assert xy(figure, line=1)[0].tolist() == [10, 20, 30]
    assert xy(plot.loss_curves(np.ones(30), [3], [7]), line=1)[0].tolist() == [7]
    assert xy(plot.loss_curves(np.ones(30), skip_start=5))[0][0] == 6


def test_confusion_cells():
    figure = plot.confusion([[3, 1], [0, 4]], ["ant", "bee"], normalize=True)
    assert [t.get_text() for t in figure.axes[0].texts] == ["0.75", "0.25", "0.00", "1.00"]
    assert not plot.confusion(np.eye(30, dtype=int), list(map(str, range(30)))).axes[0].texts


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.lr_curve([], []), "run learn.lr_find"),
        (lambda: plot.lr_curve([1], [1, 2]), "1 learning rates and 2 losses"),
        (lambda: plot.confusion(np.eye(3), ["a"]), "it must be 1×1"),
        (lambda: plot.bar_chart(["a"], [1, 2]), "1 labels but 2 values"),
        (lambda: plot.metric_curves({}), "no metrics to draw"),
        (lambda: plot.plot_multi(print, 0, 1), "at least one row"),
    ],
)
def test_curves_that_cannot_be_drawn(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------------ saving


def test_save_makes_the_folders(tmp_path):
    path = plot.save(plot.bar_chart(["a"], [1]), tmp_path / "new" / "deep" / "a.png")
    assert path.is_file()


def test_save_writes_png_only(tmp_path):
    with pytest.raises(ValueError, match="written as PNG, got 'a.jpg'"):
        plot.save(plot.bar_chart(["a"], [1]), tmp_path / "a.jpg")


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    figure = plot.bar_chart(["a"], [1])
    path = plot.save(figure, tmp_path / "a.png")
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"plot.save: cannot write .*a.png .*No space left"):
        plot.save(figure, path)
    monkeypatch.undo()
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]


# --------------------------------------------------------------------------------- masks of classes


def test_named_classes_share_all_colours_and_have_a_legend():
    import matplotlib

    names = [f"class {k}" for k in range(12)]
    masks = [np.full((6, 4), 11), np.full((1, 6, 4), 5)]
    figure = plot.image_grid(PICTURES[:2], masks=masks, classes=names)
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == names
    colors = matplotlib.colormaps["tab20"]
    for ax, code in zip(figure.axes, (11, 5), strict=True):
        overlay = ax.get_images()[1]
        assert overlay.get_clim() == (0, 11) and overlay.get_alpha() == 0.5
        shown = overlay.cmap(overlay.norm(code))
        assert shown == colors(code / 11) == (*legend.get_patches()[code].get_facecolor()[:3], 1)


def test_segmentation_grid_has_image_target_and_prediction_in_a_row():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (2, 1, 6, 4))
    scores = rng.normal(0, 1, (2, 3, 6, 4))
    figure = plot.segmentation_grid(PICTURES[:2], truth, scores, ["a", "b", "c"])
    assert [ax.get_title() for ax in figure.axes] == ["Image", "Target", "Prediction", "", "", ""]
    overlays = [[np.asarray(im.get_array()) for im in ax.get_images()[1:]] for ax in figure.axes]
    assert [len(found) for found in overlays] == [0, 1, 1] * 2
    for i in range(2):
        np.testing.assert_array_equal(overlays[3 * i + 1][0], truth[i, 0])
        np.testing.assert_array_equal(overlays[3 * i + 2][0], scores[i].argmax(0))
    assert len(plot.segmentation_grid(PICTURES[:2], truth).axes) == 4
    with pytest.raises(ValueError, match="segmentation_grid: 2 images but 1 truth"):
        plot.segmentation_grid(PICTURES[:2], truth[:1])


def test_curves_have_their_own_axes_and_their_length():
    figure = plot.curves({"a": [0, 2], "b": [5, 6, 7]}, {"a": [1, 2], "b": [3, 4, 5]}, "x", "y")
    first, second = figure.axes[0].lines
    assert first.get_xdata().tolist() == [0, 2] and second.get_xdata().tolist() == [5, 6, 7]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"line 'a' has shape \(2,\) over an axis of shape \(3,\)"):
        plot.curves([0, 1, 2], {"a": [1, 2]})
    with pytest.raises(ValueError, match="at least one line"):
        plot.curves([0, 1], {})


@pytest.mark.parametrize(
    ("x", "ys", "message"),
    [
        ([0, 1], [1, 2], "ys must be a mapping .* got list"),
        ([0, 1], np.zeros(2), "ys must be a mapping .* got ndarray"),
        ({"b": [0, 1]}, {"a": [1, 2]}, r"x has no axis for line 'a', only for \['b'\]"),
        ([0, 1], {"a": ["1", "2"]}, r"line 'a' must be .* of numbers, got \['1', '2'\]"),
        ([0, 1], {"a": "ab"}, "line 'a' must be .* of numbers, got 'ab'"),
        ([0, 1], {"a": [[1], [1, 2]]}, "line 'a' must be a flat list"),
        ("ab", {"a": [1, 2]}, "the axis of line 'a' must be .* got 'ab'"),
    ],
)
def test_lines_that_cannot_be_drawn(x, ys, message):
    with pytest.raises((TypeError, ValueError), match=f"curves: {message}"):
        plot.curves(x, ys)


def test_a_number_not_known_leaves_a_gap():
    line = plot.curves([0, 1], {"a": [None, 2]}).axes[0].lines[0]
    assert np.isnan(line.get_ydata()[0]) and line.get_ydata()[1] == 2


# ------------------------------------------------------------------------------- windows and films


def windows_read(size, kernel, stride=1, dilation=1):
    """The numbers of the pixels that each window reads, by the formula: (kernel², places)."""
    fits = (size - dilation * (kernel - 1) - 1) // stride + 1
    return np.array(
        [
            [
                (i * stride + u * dilation) * size + j * stride + v * dilation
                for i, j in np.ndindex(fits, fits)
            ]
            for u, v in np.ndindex(kernel, kernel)
        ]
    )


CELL = 20


def colours(frame, left, top, rows, columns):
    """The fill of each cell of a grid whose corner is (left, top) in cells: (rows, columns, 3)."""
    y = ((top + np.arange(rows) + 0.25) * CELL).astype(int)  # beside the number in the middle
    x = ((left + np.arange(columns) + 0.25) * CELL).astype(int)
    return frame[y][:, x].astype(int)


def test_a_frame_for_each_place_shows_what_the_window_reads():
    reads = windows_read(6, 3, stride=2)  # 2 × 2 places; the last row and column are not read
    frames = plot.draw_windows(reads, (6, 6), (2, 2), cell=CELL)
    assert len(frames) == 4 and {frame.shape for frame in frames} == {(7 * CELL, 11 * CELL, 3)}
    assert all(frame.dtype == np.uint8 for frame in frames)
    for i, frame in enumerate(frames):
        picture, result = colours(frame, 0.5, 0.5, 6, 6), colours(frame, 8.5, 2.5, 2, 2)
        blue = (picture[..., 2] - picture[..., 0]).ravel()  # white and grey have none
        now = np.isin(np.arange(36), reads[:, i])
        assert (blue[now] > 120).all() and (blue[~now] < 100).all()
        before = np.isin(np.arange(36), reads[:, :i]) & ~now
        assert (blue[before] > 20).all()
        red = (result[..., 0] - result[..., 2]).ravel()
        assert red[i] > 200 and (red[:i] > 20).all() and (np.abs(red[i + 1 :]) < 5).all()
    never = colours(frames[-1], 0.5, 0.5, 6, 6)[-1]
    assert (never.max(-1) - never.min(-1) < 5).all()  # white, or under the ray grey


def test_padding_is_grey_and_numbers_appear_as_they_come():
    reads = windows_read(5, 3)  # 3 × 3 pixels and 1 of padding
    bare = plot.draw_windows(reads, (3, 3), (3, 3), 1, cell=CELL)
    corner = colours(bare[0], 0.5, 0.5, 5, 5)[0, 0]
    assert corner.max() == corner.min() < 230
    numbered = plot.draw_windows(
        reads, (3, 3), (3, 3), (1, 1), np.arange(9).reshape(3, 3), np.full((3, 3), 8), cell=CELL
    )
    assert {frame.shape for frame in numbered} == {bare[0].shape}
    written = [(a != b).any(-1) for a, b in zip(bare, numbered, strict=True)]
    picture, result = slice(0, 6 * CELL), slice(7 * CELL, None)
    assert all(changed[:, picture].any() for changed in written)
    counts = [changed[:, result].sum() for changed in written]
    assert all(a < b for a, b in zip(counts, counts[1:], strict=False))  # one more in each frame
    titled = plot.draw_windows(reads, (3, 3), (3, 3), 1, title="padding 1", cell=CELL)
    assert len(titled[0]) == len(bare[0]) + CELL


def test_a_transposed_convolution_writes_and_overlaps_are_stronger():
    reads = windows_read(5, 3, stride=2)  # 2 × 2 pixels write into 5 × 5
    frames = plot.draw_windows(reads, (5, 5), (2, 2), writes=True, cell=CELL)
    large = colours(frames[-1], 4.5, 0.5, 5, 5)
    red = large[..., 0] - large[..., 2]
    small = colours(frames[-1], 0.5, 2.0, 2, 2)
    assert (small[..., 2] > small[..., 0]).all()  # the source is blue
    assert red[2, 2] > red[2, 1] > 20 and red[1, 2] > red[1, 1] > 20  # twice written, and once
    sums = np.arange(4 * 25).reshape(4, 5, 5)
    assert len(plot.draw_windows(reads, (5, 5), (2, 2), picture=sums, writes=True)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reads": np.zeros((9, 3))}, r"reads must be \(taps, 4\) .* got shape \(9, 3\)"),
        (
            {"reads": np.full((9, 4), 16)},
            "reads must be whole numbers from 0 to 15.* they go from 16 to 16",
        ),
        ({"reads": np.full((9, 4), 0.5)}, "reads must be whole numbers"),
        ({"picture": np.zeros((3, 4))}, r"picture must have shape \(4, 4\), or \(4, 4, 4\)"),
        ({"result": np.zeros(4)}, r"result must have shape \(2, 2\)"),
    ],
)
def test_windows_that_do_not_fit(arguments, message):
    given = {"reads": windows_read(4, 3), "size_in": (4, 4), "size_out": (2, 2)} | arguments
    with pytest.raises(ValueError, match=f"draw_windows: {message}"):
        plot.draw_windows(**given)


def test_a_film_keeps_its_frames_times_and_colours(tmp_path):
    frames = np.zeros((3, 12, 16, 3), np.uint8)
    for i, colour in enumerate(([200, 30, 40], [10, 90, 250], [120, 120, 0])):
        frames[i] = colour
    path = plot.save_gif(frames, tmp_path / "new" / "film.gif", fps=4, last=2)
    film = Image.open(path)
    assert film.n_frames == 3 and film.info["loop"] == 0 and film.size == (16, 12)
    times = []
    for i in range(3):
        film.seek(i)
        times.append(film.info["duration"])
        assert np.abs(np.asarray(film.convert("RGB"), int) - frames[i]).max() <= 4
    assert times == [250, 250, 2000]
    greys = [np.full((4, 4), value, np.uint8) for value in (0, 77, 255)]
    film = Image.open(plot.save_gif(greys, tmp_path / "grey.gif"))
    film.seek(1)
    assert (np.asarray(film.convert("RGB")) == 77).all()
    pages = [Image.new("RGB", (5, 5), name) for name in ("red", "blue")]
    assert Image.open(plot.save_gif(pages, tmp_path / "pages.gif")).n_frames == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": []}, "there are no frames"),
        ({"frames": [np.zeros((2, 2))]}, r"frame 0 is float64 of shape \(2, 2\)"),
        ({"frames": np.zeros((1, 3, 4, 4), np.uint8)}, r"frame 0 is uint8 of shape \(3, 4, 4\)"),
        (
            {"frames": [np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)]},
            r"differ in size \(width, height\): \[\(2, 2\), \(3, 2\)\]",
        ),
        ({"path": "film.png"}, "writes a GIF, got 'film.png'; use a .gif name"),
        ({"fps": 0}, "fps must be a number from 0.01 to 50 a second, got 0"),
        ({"fps": np.nan}, "fps must be"),
        ({"fps": "5"}, "fps must be"),
        ({"last": 0}, "last must be a number of seconds up to 655.35, got 0"),
        ({"last": 1e6}, "last must be"),
    ],
)
def test_films_that_cannot_be(tmp_path, arguments, message):
    given = {"frames": [np.zeros((2, 2), np.uint8)], "path": "film.gif"} | arguments
    given["path"] = tmp_path / given["path"]
    with pytest.raises(ValueError, match=f"save_gif: .*{message}"):
        plot.save_gif(**given)
    assert not list(tmp_path.iterdir())


def test_a_drawing_keeps_its_white_and_a_photo_comes_near(tmp_path):
    numbers = np.arange(25).reshape(5, 5)
    reads = windows_read(7, 3)
    frames = plot.draw_windows(reads, (5, 5), (5, 5), 1, numbers, numbers, title="a title")
    film = Image.open(plot.save_gif(frames, tmp_path / "drawing.gif"))
    assert film.n_frames == 25
    for i in (0, 11, 24):
        film.seek(i)
        shown = np.asarray(film.convert("RGB"), int)
        white = (frames[i] == 255).all(-1)
        assert (shown[white] == 255).all() and np.abs(shown - frames[i]).mean() < 0.2
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)  # 12,000 colours
    film = Image.open(plot.save_gif(photo, tmp_path / "photo.gif"))
    film.seek(2)
    assert np.abs(np.asarray(film.convert("RGB"), int) - photo[2]).mean() < 40


# ----------------------------------------------------------------------------------------- surfaces


def test_surfaces_share_one_scale_and_rows_go_with_x():
    slope, flat = np.array([[1.0, 1.0], [1e5, 1e5]]), np.full((2, 2), 10.0)
    figure = plot.surfaces([0, 1], {"one": slope, "two": flat}, "a", "b", log=True, ceiling=1000)
    hills = [ax for ax in figure.axes if ax.name == "3d"]
    assert [ax.get_title() for ax in hills] == ["one", "two"]
    assert [ax.get_zlim() for ax in hills] == [(0, 3), (0, 3)]  # 10⁰ … the ceiling
    below = [ax for ax in figure.axes if ax.name != "3d" and ax.get_xlabel() == "a"]
    assert len(below) == 2 and below[0].get_ylabel() == "b"
    lines = below[0].collections[1].get_paths()  # of equal height: they follow the second axis
    corners = [path.vertices for path in lines if len(path.vertices)]
    inner = [c for c in corners if 0 < c[0, 0] < 1]
    assert inner and all(np.ptp(c[:, 0]) < 1e-9 and np.ptp(c[:, 1]) == 1 for c in inner)


@pytest.mark.parametrize(
    ("values", "log", "said"),
    [
        ({}, False, "nothing to draw"),
        ({"a": np.ones((2, 3))}, False, r"'a' has shape \(2, 3\); .* must be \(2, 2\)"),
        ({"a": np.zeros((2, 2))}, True, "'a' has values of 0 or less"),
    ],
)
def test_surfaces_that_cannot_be_drawn(values, log, said):
    with pytest.raises(ValueError, match=said):
        plot.surfaces([0, 1], values, log=log)
