"""Graphs of computation: what is read from the tensors, and how it is laid out."""

import itertools
import re

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.autograd import graph_of
from minitorch7.plot.graph import diagram_of

# ------------------------------------------------------------------------------ what is in a graph


def small_net():
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
    loss = F.cross_entropy(model(mt.randn(8, 2)), mt.tensor([0, 1, 2, 0] * 2))
    return loss, dict(model.named_parameters())


def by_text(graph):
    return [(graph.nodes[a][1], graph.nodes[b][1], shape) for a, b, shape in graph.edges]


def test_operations_shapes_and_names():
    loss, names = small_net()
    graph = graph_of(loss, {**names, "loss": loss})
    assert sorted(by_text(graph)) == sorted(
        [
            ("0.weight", "Permute", "(16, 2)"),
            ("Permute", "MatMul", "(2, 16)"),  # the batch needs no gradient: it is not there
            ("MatMul", "Add", "(8, 16)"),
            ("0.bias", "Add", "(16,)"),
            ("Add", "Tanh", "(8, 16)"),
            ("Tanh", "MatMul", "(8, 16)"),
            ("2.weight", "Permute", "(3, 16)"),
            ("Permute", "MatMul", "(16, 3)"),
            ("MatMul", "Add", "(8, 3)"),
            ("2.bias", "Add", "(3,)"),
            ("Add", "CrossEntropy", "(8, 3)"),
            ("CrossEntropy", "loss", "()"),
        ]
    )
    kinds = {text: kind for kind, text in graph.nodes.values()}
    assert kinds["0.weight"] == "leaf" and kinds["loss"] == "output"
    assert kinds["MatMul"] == "operation"
    position = {key: k for k, key in enumerate(graph.nodes)}
    assert all(position[a] < position[b] for a, b, _ in graph.edges)


def test_a_tensor_used_twice_is_one_node_with_two_edges():
    a = mt.tensor([1.0, 2.0], requires_grad=True)
    b = a + a
    graph = graph_of(b * b, [("a", a), ("b", b)])
    assert by_text(graph) == [
        ("a", "Add\nb", "(2,)"),
        ("a", "Add\nb", "(2,)"),
        ("Add\nb", "Mul", "(2,)"),
        ("Add\nb", "Mul", "(2,)"),
        ("Mul", "output", "(2,)"),
    ]


def test_a_leaf_can_be_the_output_and_outputs_can_be_several():
    a = mt.ones(2, requires_grad=True)
    assert by_text(graph_of(a)) == [("leaf", "output", "(2,)")]
    first, second = mt.functional.split(mt.ones(6, requires_grad=True) * 2, 3)
    graph = graph_of([first, second], {"first": first, "second": second})
    assert {"first", "second"} <= {text for _, text in graph.nodes.values()}


def test_ten_thousand_steps():
    x = y = mt.ones(1, requires_grad=True)
    for _ in range(10_000):
        y = y + 1.0
    graph = graph_of(y, {"x": x})
    assert len(graph.nodes) == 10_002 and len(graph.edges) == 10_001


def walked():
    loss, _ = small_net()
    loss.backward()
    return loss


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: graph_of(mt.ones(2)), RuntimeError, "graph_of: .* does not depend on anything"),
        (lambda: graph_of(walked()), RuntimeError, "graph_of: .* walked and freed already"),
        (lambda: graph_of(np.ones(2)), TypeError, "graph_of: needs Tensors"),
        (lambda: graph_of([]), ValueError, "graph_of: there is no output"),
        (lambda: graph_of(small_net()[0], {"x": 1}), TypeError, "needs Tensors, got int"),
    ],
)
def test_what_has_no_graph(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ------------------------------------------------------------------------------- how it is laid out


def random_graph(seed):
    """Operations on two random earlier nodes each; all loose ends go into the output."""
    rng = np.random.default_rng(seed)
    nodes = {f"in{k}": ("leaf", f"block.{k}.weight"[: rng.integers(1, 15)]) for k in range(4)}
    edges = []
    for k in range(rng.integers(3, 28)):
        names = list(nodes)[-8:]
        nodes[f"op{k}"] = ("operation", rng.choice(["Add", "CrossEntropy", "Tanh\nh1"]))
        for start in rng.choice(names, rng.integers(1, 4)):
            edges.append((str(start), f"op{k}", rng.choice(["", "(8,)", "(128, 64, 32, 32)"])))
    loose = [name for name in nodes if name not in {a for a, _, _ in edges}]
    nodes["out"] = ("output", "loss")
    return nodes, edges + [(name, "out", "()") for name in loose]


def res_block():
    block = nn.res_block(8)
    x = mt.randn(2, 8, 5, 5, requires_grad=True)
    return graph_of(block(x), {"x": x, **dict(block.named_parameters())})


GRAPHS = {f"random {seed}": lambda seed=seed: random_graph(seed) for seed in range(12)}
GRAPHS |= {"net": lambda: graph_of(*small_net()), "res_block": res_block}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_lies_over_anything_else(name):
    nodes, edges = GRAPHS[name]()
    diagram = diagram_of(nodes, edges)
    figure = diagram.figure()
    ax = figure.axes[0]
    width, height = figure.get_size_inches() * figure.dpi
    texts = [t for t in ax.texts if t.get_text()]
    assert len(texts) == len(nodes) + sum(bool(label) for *_, label in edges)
    boxes = [p.get_window_extent() for p in ax.patches if type(p).__name__ == "Polygon"]
    labels = [t.get_window_extent() for t in texts if t.get_color() != "black"]
    inside = [t.get_window_extent() for t in texts if t.get_color() == "black"]
    for box in (*labels, *inside):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    for one, other in itertools.combinations((*boxes, *labels), 2):
        assert not one.padded(-1).overlaps(other.padded(-1)), (one, other)
    for text in inside:  # in its own box
        assert any(
            b.x0 < text.x0 and text.x1 < b.x1 and b.y0 < text.y0 and text.y1 < b.y1 for b in boxes
        )
    lines = [p for p in ax.patches if type(p).__name__ == "FancyArrowPatch"]
    assert len(lines) == len(edges) + sum(bool(label) for *_, label in edges)
    for curve in diagram.curves:  # no edge runs through a box or a label
        way = ax.transData.transform(sampled(curve.points))
        for box in (*boxes, *labels):
            b = box.padded(-2)
            hit = (way > (b.x0, b.y0)) & (way < (b.x1, b.y1))
            assert not hit.all(axis=1).any(), (curve, box)


def sampled(points):
    """Points close to one another on the curve that is drawn: vertical where it starts and ends."""
    t = np.linspace(0, 1, 40)[:, None]
    found = []
    for a, b in itertools.pairwise(np.array(points)):
        middle = (a[1] + b[1]) / 2
        c, d = (a[0], middle), (b[0], middle)
        found.append(
            (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * c + 3 * (1 - t) * t**2 * d + t**3 * b
        )
    return np.concatenate(found)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_edge_goes_down(name):
    nodes, edges = GRAPHS[name]()
    diagram = diagram_of(nodes, edges)
    assert list(diagram.nodes) and set(diagram.nodes) == set(nodes)
    for start, end, _ in edges:
        assert diagram.nodes[start].at[1] > diagram.nodes[end].at[1] + 0.4
    assert len(diagram.curves) == len(edges) + sum(bool(label) for *_, label in edges)


def test_a_node_stands_where_it_is_needed():
    """Weights beside the step that uses them, not all on top."""
    loss, names = small_net()
    graph = graph_of(loss, names)
    diagram = diagram_of(*graph)
    height = {graph.nodes[key][1]: node.at[1] for key, node in diagram.nodes.items()}
    assert height["2.bias"] < height["Tanh"] < height["0.bias"] < height["0.weight"]


@pytest.mark.parametrize("seed", range(5))
def test_a_tree_is_drawn_without_crossings(seed):
    rng = np.random.default_rng(seed)
    nodes = {f"n{k}": ("operation", f"n{k}") for k in range(25)}
    edges = [(f"n{k}", f"n{rng.integers(max(0, k - 6), k)}", "") for k in range(1, 25)]
    shuffled = [edges[k] for k in rng.permutation(24)]
    assert crossings(diagram_of(nodes, shuffled)) == 0


def test_a_crossing_that_two_swaps_take_away():
    """x goes around the block: it must come to stand beside the weight, not before it."""
    assert crossings(diagram_of(*res_block())) == 0


def crossings(diagram):
    """Pairs of steps in one gap between rows whose ends are in another order than their starts."""
    steps = [
        (a, b)
        for curve in diagram.curves
        for a, b in itertools.pairwise(curve.points)
        if a[1] > b[1]
    ]
    total = 0
    for ((ax, ay), (bx, by)), ((cx, cy), (dx, dy)) in itertools.combinations(steps, 2):
        if min(ay, cy) > max(by, dy):  # they share some height
            total += (ax - cx) * (bx - dx) < -1e-9
    return total


def test_long_edges_are_straight():
    points = [c.points for c in diagram_of(*res_block()).curves if len(c.points) > 8]
    assert len(points) == 1  # from x around the block
    assert len({round(x, 6) for x, _ in points[0][1:-1]}) == 1


def test_drawings_do_not_depend_on_chance():
    one, two = (diagram_of(*random_graph(3)) for _ in range(2))
    assert one.curves == two.curves and one.nodes == two.nodes


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (5, TypeError, "needs a pair (nodes, edges), got 5; graph_of(tensor) makes one"),
        (({}, []), ValueError, "the graph is empty"),
        (({"a": ("circle", "a")}, []), ValueError, "node 'a' has kind 'circle'; the kinds are"),
        (({"a": ("leaf", "a")}, [("a", "b", "")]), ValueError, "an edge names 'b'"),
        (
            (
                {"a": ("leaf", "a"), "b": ("output", "b")},
                [("a", "b", ""), ("b", "a", "")],
            ),
            ValueError,
            "the graph has a cycle",
        ),
        (
            ({f"n{k}": ("leaf", "n") for k in range(57)}, []),
            ValueError,
            "has 57 nodes, and more than 40 are hard to read; draw a part of it "
            "(one block, one step), or pass most=57",
        ),
    ],
)
def test_what_cannot_be_drawn(graph, error, message):
    with pytest.raises(error, match="draw_graph: .*" + re.escape(message)):
        plot.draw_graph(graph)


def test_a_curve_needs_two_points_and_a_colour():
    diagram = plot.Diagram()
    diagram.box("a", (0, 0), "a")
    with pytest.raises(ValueError, match="Diagram.curve: a line needs two points"):
        diagram.curve([(0, 0)])
    with pytest.raises(ValueError, match="Diagram.text: a place must be two finite numbers"):
        diagram.text((0, float("nan")), "a")
    diagram.curve([(0, 0), (1, 1)], "no colour")
    with pytest.raises(ValueError, match="'no colour' is no colour"):
        diagram.figure()
