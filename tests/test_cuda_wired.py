"""The CUDA kernels where the library calls them: every operation through them, against NumPy.

The stand-in runs the kernels as g++ compiled them for the processor (``cuda_on_cpu``); what each
kernel computes is in ``test_cuda_kernels.py``, and here is whether the right one is called with the
right arguments. ``pytest --kernels -k cupy`` runs any other test file that way, slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import standin
from break_rules import first_probe, numbers, second_probe

import minitorch7 as mt
from minitorch7 import backend, nn
from minitorch7 import functional as F
from minitorch7.gradcheck.cases import CASES
from minitorch7.kernels import convolution
from minitorch7.kernels.cuda import load
from minitorch7.kernels.windows import Window

CELLS = ("rnn", "gru", "lstm")
REACHED_BY = {  # the case that launches each kernel, in its first or its second order
    "max_pool": "max_pool2d",
    "unpool_max": "max_pool2d",
    "pick_max": "max_pool2d",
    "sum_pool": "avg_pool2d",
    "spread_sum": "avg_pool2d",
    "row_moments": "batch_norm",
    "standardise": "batch_norm",
    "row_agreement": "layer_norm",
    "standardise_grad": "layer_norm",
    "cross_entropy": "cross_entropy, pictures",
    "cross_entropy_rows": "cross_entropy",
    "embedding_grad": "embedding",
    "dropout": "dropout2d",
    "nearest": "interpolate, nearest",
    "nearest_grad": "interpolate, nearest",
    "bilinear": "interpolate, bilinear",
    "bilinear_grad": "interpolate, bilinear",
    "conv2d": "conv2d",
    "conv2d_input_grad": "conv2d, stride 2",
    "conv2d_weight_grad": "conv2d, stride 2",
    "im2col": "conv2d, stride 2, by columns",
    "col2im": "conv2d, stride 2, by columns",
    **{f"{cell}_step{grad}": f"{cell}_sweep" for cell in CELLS for grad in ("", "_grad")},
}
UNREACHED = {  # by the cases
    "uniform": "noise is drawn on the host, as weights are",
    "normal": "noise is drawn on the host, as weights are",
    "move_running": "the cases keep no running statistics: see `test_a_training_step`",
    "sum_parts": "for gradients over many places: see `test_a_training_step`",
}
NOT_OPERATIONS = {"adam.cu", "products.cu"}  # an optimiser's, and those of captured steps


class Recording(standin.WithKernels):
    """A library whose launched kernels are noted by their names."""

    def __init__(self, library: standin.WithKernels) -> None:
        self.inner, self.launched = library, set()

    def _kernel(self, code: str, name: str) -> Callable[..., None]:
        kernel = self.inner._kernel(code, name)

        def launch(*args: Any) -> None:
            self.launched.add(name)
            kernel(*args)

        return launch


@pytest.fixture(scope="module")
def library(library_with_kernels) -> Recording:
    return Recording(library_with_kernels)


@pytest.fixture
def kernels(library) -> Iterator[Recording]:
    """The backend "cupy" is the stand-in with kernels; the names of those launched."""
    library.launched.clear()
    with standin.installed(library):
        yield library


def on(name: str, function: Callable[..., Any], *args: Any) -> np.ndarray:
    """The numbers of the tensors that `function` gives on a backend."""
    with mt.using(name):
        mt.manual_seed(3)
        return numbers(function(*args))


def agree(function: Callable[..., Any], *args: Any, tolerance: float = 1e-9) -> None:
    """The same numbers by NumPy and by the kernels, and nothing waits."""
    expected, found = (on(name, function, *args) for name in ("numpy", "cupy"))
    np.testing.assert_allclose(found, expected, tolerance, tolerance)


BY_COLUMNS = ", by columns"
WAYS = [case.name for case in CASES]
WAYS += [name + BY_COLUMNS for name in WAYS if name.startswith("conv")]


@pytest.mark.parametrize("name", WAYS)
def test_every_case_is_numpys(kernels, monkeypatch, name) -> None:
    """Results, gradients and the gradients of gradients."""
    if name.endswith(BY_COLUMNS):
        monkeypatch.setattr(convolution, "WAY", "columns")
    (case,) = (case for case in CASES if case.name == name.removesuffix(BY_COLUMNS))
    agree(first_probe, case)
    if case.second_order:
        agree(second_probe, case, tolerance=1e-8)
    expected = {kernel for kernel, by in REACHED_BY.items() if by == name}
    assert expected <= kernels.launched


def test_every_kernel_has_a_case_that_launches_it() -> None:
    files = {f: names for f, names in load.declared().items() if f not in NOT_OPERATIONS}
    every = {name.split("<")[0] for names in files.values() for name in names}
    assert REACHED_BY.keys() | UNREACHED.keys() == every
    assert not REACHED_BY.keys() & UNREACHED.keys()
    assert set(REACHED_BY.values()) <= set(WAYS)


# -------------------------------------------------------------------------------- training steps


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.conv_layer(2, 4, stride=2),
        nn.res_block(4),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(4 * 5 * 5, 3),
    )


def trained(dtype: str) -> list[mt.Tensor]:
    """The losses and the weights of three steps with SGD."""
    rng, net, losses = np.random.default_rng(0), small_net(), []
    params = list(net.parameters())
    for p in params:
        p.data = mt.tensor(rng.normal(0, 0.4, p.shape).astype(dtype)).data
    for b in net.buffers():
        if b.is_floating_point():
            b.data = b.data.astype(dtype)
    x = mt.tensor(rng.standard_normal((24, 2, 20, 20)).astype(dtype))
    y = mt.tensor(rng.integers(0, 3, 24))
    for _ in range(3):
        loss = F.cross_entropy(net(x), y)
        for p, g in zip(params, mt.grad(loss, params), strict=True):
            p.data -= 0.1 * g.data
        losses.append(loss.reshape(1))
    return losses + params + [b for b in net.buffers() if b.is_floating_point()]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-3)])
def test_a_training_step(kernels, dtype, tolerance) -> None:
    agree(trained, dtype, tolerance=tolerance)
    assert {"conv2d", "sum_parts", "move_running", "dropout", "max_pool"} <= kernels.launched


def test_nothing_is_launched_where_kernels_are_switched_off(kernels, monkeypatch) -> None:
    monkeypatch.setenv("MINITORCH7_KERNELS", "0")
    agree(trained, "float64")
    assert not kernels.launched


def test_types_that_have_no_kernel_do_without(kernels) -> None:
    with mt.using("cupy"):
        whole = mt.tensor(np.arange(16).reshape(1, 1, 4, 4))
        assert F.max_pool2d(whole, 2).numpy().ravel().tolist() == [5, 7, 13, 15]
    assert not kernels.launched


# ------------------------------------------------------------------------------------ convolution


@pytest.mark.parametrize(
    "name, x, w, window, groups, without",
    [
        ("few products", (16, 8, 14, 14), (16, 8, 3, 3), Window((3, 3), (1, 1), (1, 1)), 1, True),
        ("columns that a cache holds", (64, 64, 14, 14), (512, 64, 3, 3), Window((3, 3)), 1, False),
        ("many columns", (64, 64, 56, 56), (64, 64, 3, 3), Window((3, 3)), 1, True),
        ("as many, but the picture's own", (64, 576, 54, 54), (64, 576, 1, 1), Window((1, 1)), 1,
         False),
        ("groups", (64, 64, 14, 14), (512, 32, 3, 3), Window((3, 3)), 2, True),
    ],
)  # fmt: skip
def test_when_columns_are_laid_out(kernels, monkeypatch, name, x, w, window, groups, without):
    places = x[0] * np.prod(window.output_size(x[2:]))
    one = kernels.zeros(1, dtype="float32")
    given = (w, int(places), window, groups)
    assert convolution.without_columns(kernels, one, *given) is without
    assert not convolution.without_columns(np, np.zeros(1), *given)
    assert not convolution.without_columns(kernels, kernels.zeros(1, dtype="int64"), *given)
    for way in ("implicit", "columns"):
        monkeypatch.setattr(convolution, "WAY", way)
        assert convolution.without_columns(kernels, one, *given) is (way == "implicit")


@pytest.mark.parametrize("way", ["implicit", "columns"])
@pytest.mark.parametrize("layers", [2, 3])
def test_folded_layers(kernels, monkeypatch, way, layers) -> None:
    """What follows a convolution in evaluation is done to its result in place."""
    monkeypatch.setattr(convolution, "WAY", way)

    def evaluated() -> list[mt.Tensor]:
        parts = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)][:layers]
        x = np.random.default_rng(1).standard_normal((2, 2, 6, 5)).astype("float32")
        with mt.no_grad():
            return [nn.Sequential(*parts).eval()(mt.tensor(x))]

    agree(evaluated, tolerance=1e-5)
    assert ("conv2d" in kernels.launched) is (way == "implicit")


# ---------------------------------------------------------------------------------------- dropout


def dropped(p: float = 0.3) -> list[mt.Tensor]:
    x = mt.tensor(np.ones((4, 3, 5, 2), np.float32), requires_grad=True)
    found = [F.dropout(x, p), F.dropout2d(x, p), F.dropout2d(x[0], p)]
    return [*found, *(mt.grad(y.sum(), [x])[0] for y in found)]


def test_one_seed_drops_the_same_on_either_backend(kernels) -> None:
    agree(dropped, tolerance=1e-6)
    assert kernels.launched == {"dropout"}
    first = on("cupy", dropped)
    assert np.array_equal(first, on("cupy", dropped))
    dropped_ones, gradient = first[:240], first[270:510]
    assert np.array_equal(dropped_ones, gradient)  # of both that have all of x


def test_draws_go_on_where_they_were_left(kernels) -> None:
    """Without a seed in between, each call drops anew; a saved state brings the calls back."""
    with mt.using("cupy"):
        mt.manual_seed(5)
        first, state = numbers(dropped()), backend.get_rng_state()
        second = numbers(dropped())
        backend.set_rng_state(state)
        assert np.array_equal(numbers(dropped()), second) and not np.array_equal(first, second)
    with mt.using("numpy"):
        backend.set_rng_state(state)
        assert np.allclose(numbers(dropped()), second)


def test_without_kernels_the_draws_are_the_same() -> None:
    """On the plain stand-in numbers are drawn on the host, and the count of draws is one."""
    with standin.installed():
        expected = on("numpy", dropped)
        assert np.array_equal(on("cupy", dropped), expected)
        with mt.using("cupy"):
            mt.manual_seed(3)
            assert np.array_equal(numbers(dropped()), expected)
            assert backend.next_draw()[1] == 3  # three calls have drawn


def test_a_state_of_the_stream_alone_leaves_the_draws() -> None:
    mt.manual_seed(1)
    stream = np.random.PCG64(9).state
    first = backend.next_draw()
    backend.set_rng_state(stream)
    assert backend.next_draw() == (first[0], first[1] + 1)
    assert backend.generator().random() == np.random.Generator(np.random.PCG64(9)).random()
    mt.manual_seed(2**70)  # a seed of any length
    assert backend.next_draw()[0] != first[0]
