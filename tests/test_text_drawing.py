"""The drawings: what they show is what the model has, and nothing lies over anything else."""

import itertools

import numpy as np
import pytest

from minitorch7 import nn, plot
from minitorch7.plot import BLUE, GREEN, ORANGE, Diagram
from minitorch7.text import drawing
from minitorch7.text.models import Model0, Model1, Model2, Model3, Model4, Model5, RecurrentModel

MODELS = {
    "model 0": Model0,
    "model 1": Model1,
    "model 2": Model2,
    "model 3": Model3,
    "model 4": Model4,
    "model 5": Model5,
    "lstm": RecurrentModel,
    "gru": lambda: RecurrentModel("gru", layers=3),
}
WORDS = ["eight", "thousand", "nine"]


def lines(diagram):
    """{(start, end): (name, colour)} of the arrows between nodes."""
    return {
        (a.start, a.end): (a.label.split("\n")[0], a.color)
        for a in diagram.arrows
        if isinstance(a.end, str)
    }


# ------------------------------------------------------------------------------- what is on them


def test_the_basic_network():
    diagram = drawing.unrolled(Model0(nv=11, nh=6), 1)
    kinds = {name: (node.kind, node.text) for name, node in diagram.nodes.items()}
    assert kinds == {
        "x1": ("box", "word 1"),
        "e1": ("circle", "6"),
        "h1.1": ("circle", "h\n6"),
        "y1": ("triangle", "11"),
    }
    assert lines(diagram) == {
        ("x1", "e1"): ("i_h", GREEN),
        ("e1", "h1.1"): ("h_h", ORANGE),
        ("h1.1", "y1"): ("h_o", BLUE),
    }
    assert [a.label for a in diagram.arrows] == ["i_h\n11→6", "h_h\n6→6", "h_o\n6→11"]
    key = ["i_h   Embedding 11→6", "h_h   Linear 6→6", "h_o   Linear 6→11"]
    assert [text for _, text in diagram.key] == key


def test_words_in_a_row_share_their_weights():
    diagram = drawing.unrolled(Model1(), WORDS)
    assert [n.text for n in diagram.nodes.values() if n.kind == "box"] == [
        f"word {t}\n“{word}”" for t, word in enumerate(WORDS, 1)
    ]
    found = lines(diagram)
    assert found[("h1.1", "h2.1")] == found[("h2.1", "h3.1")] == found[("e3", "h3.1")]
    assert {end for _, end in found if end.startswith("y")} == {"y3"}  # one answer, at the end
    assert ("h0.1", "h1.1") not in found


def test_answers_and_kept_states():
    found = lines(drawing.unrolled(Model2(), 3))
    assert {end for _, end in found if end.startswith("y")} == {"y1", "y2", "y3"}
    kept = drawing.unrolled(Model3(), 3)
    assert lines(kept)[("h0.1", "h1.1")] == ("h_h", ORANGE)
    assert [a.label for a in kept.arrows if isinstance(a.end, tuple)] == ["kept"]


def test_stacked_layers():
    diagram = drawing.unrolled(Model5(nv=11, nh=6), 2)
    found = lines(diagram)
    assert [found[p][0] for p in (("e2", "h2.1"), ("h2.1", "h2.2"), ("h2.2", "y2"))] == [
        "weight_ih_l0",
        "weight_ih_l1",
        "h_o",
    ]
    across = [found[(f"h1.{k}", f"h2.{k}")] for k in (1, 2)]
    assert [name for name, _ in across] == ["weight_hh_l0", "weight_hh_l1"]
    assert ("h0.2", "h1.2") in found
    assert "weight_hh_l1   of GRU 6→3·6" in [text for _, text in diagram.key]


@pytest.mark.parametrize("name", MODELS)
def test_one_colour_is_one_weight(name):
    diagram = drawing.unrolled(MODELS[name](), 3)
    pairs = set(lines(diagram).values())
    names, colors = zip(*pairs, strict=True)
    assert len(set(names)) == len(set(colors)) == len(pairs) == len(diagram.key)


def test_the_loop():
    inside, outside = drawing.loop(Model2()), drawing.loop(Model1())
    assert lines(inside)[("ht.1", "ht.1")] == ("h_h", ORANGE)
    assert "yt" in inside.frames[0].around and "yt" not in outside.frames[0].around
    assert "zeros" in inside.frames[0].label
    stacked = drawing.loop(Model5())
    loops = [a.label for a in stacked.arrows if a.start == a.end]
    assert loops == ["weight_hh_l0\n64→3·64", "weight_hh_l1\n64→3·64"]
    assert "kept" in stacked.frames[0].label


def test_the_model_does_not_notice():
    model = Model3()
    drawing.draw_loop(model)
    assert model.training and model.h.shape == (64, 64)
    assert not model.bn.running_mean.numpy().any()


# -------------------------------------------------------------------------------- how they look


def every_drawing():
    for (name, make), draw in itertools.product(
        MODELS.items(), (drawing.draw_loop, drawing.draw_unrolled)
    ):
        arguments = [] if draw is drawing.draw_loop else [WORDS]
        yield pytest.param(
            lambda d=draw, m=make, a=arguments: d(m(), *a), id=f"{draw.__name__} {name}"
        )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", list(every_drawing()))
def test_no_text_is_cut_off_or_lies_on_another(draw):
    figure = draw()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text()]
    assert len(boxes) > 6
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    shapes = [
        p.get_window_extent() for p in figure.axes[0].patches if type(p).__name__ == "Polygon"
    ]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other.padded(-1)), (one, other)
    for box, shape in itertools.product(boxes, shapes):
        inside = shape.x0 < box.x0 and box.x1 < shape.x1 and shape.y0 < box.y0 and box.y1 < shape.y1
        assert inside or not box.padded(-1).overlaps(shape.padded(-1)), (box, shape)
    assert figure._repr_png_().startswith(b"\x89PNG")


# -------------------------------------------------------------------------------- the primitives


def small():
    d = Diagram()
    d.box("x", (0, 0), "in", width=2, height=1)
    d.circle("h", (0, 3), "mid", radius=0.5)
    d.triangle("y", (4, 3), "out", size=1)
    return d


def test_arrows_end_at_the_shapes():
    d = small()
    assert d.nodes["x"].edge((0, 9)) == pytest.approx((0, 0.5))
    assert d.nodes["x"].edge((9, 9)) == pytest.approx((0.5, 0.5))
    assert d.nodes["x"].edge((-9, 0)) == pytest.approx((-1, 0))
    assert d.nodes["h"].edge((3, 7)) == pytest.approx((0.3, 3.4), abs=1e-3)
    assert d.nodes["y"].edge((4, 0)) == pytest.approx((4, 2.6))  # its base
    assert d.nodes["y"].edge((4, 9)) == pytest.approx((4, 3.46))  # its tip


def test_a_drawing_takes_the_room_it_needs():
    d = small()
    width, height = d.figure().get_size_inches()
    assert 5 < width < 6 and 4 < height < 4.6  # from -1 to 4.5, and -0.5 to 3.5, with margins
    d.note((9, 0), "far away", side="right")
    assert d.figure().get_size_inches()[0] > 10
    assert d.figure("a title").get_size_inches()[1] > height
    ax = d.figure().axes[0]
    assert [t.get_text() for t in ax.texts] == ["in", "mid", "out", "far away"]


def test_frames_and_keys():
    d = small()
    d.frame(["x", "h"], "again", room=(0.5, 0.25, 1, 0))
    d.key = [(GREEN, "weights")]
    patches = d.figure().axes[0].patches
    frame = next(p for p in patches if type(p).__name__ == "Rectangle")
    np.testing.assert_allclose(frame.get_bbox().extents, (-1.5, -1.5, 1.25, 3.5), atol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.box("h", (0, 0)), ValueError, "Diagram.box: there is a node 'h' already"),
        (lambda d: d.arrow("x", "z"), ValueError, "no node 'z'; there are: 'x', 'h', 'y'"),
        (lambda d: d.loop("z"), ValueError, "Diagram.loop: there is no node 'z'"),
        (lambda d: d.loop("h", side="above"), ValueError, "side must be 'right' or 'left'"),
        (lambda d: d.arrow("x", "h", side="up"), ValueError, "side must be one of 'right', 'left'"),
        (lambda d: d.frame([]), ValueError, "nothing to frame"),
        (lambda d: Diagram().figure(), ValueError, "the drawing is empty"),
        (lambda d: drawing.unrolled(Model0(), []), ValueError, "no words to draw"),
        (lambda d: drawing.unrolled(Model0(), "one"), TypeError, "must be a list of words"),
        (
            lambda d: drawing.loop(nn.Linear(2, 2)),
            TypeError,
            "Linear needs a layer i_h that is Emb",
        ),
        (
            lambda d: drawing.loop(RecurrentModel("rnn", 7, 5, 2, layers=4)),
            ValueError,
            "draws up to 3 layers.*rnn has 4",
        ),
    ],
)
def test_what_cannot_be_drawn(call, error, message):
    with pytest.raises(error, match=message):
        call(small())


def test_figures_are_saved_like_all_others(tmp_path):
    path = plot.save(small().figure(), tmp_path / "a.png")
    assert path.read_bytes().startswith(b"\x89PNG")
