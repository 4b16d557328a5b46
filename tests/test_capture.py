"""`mt.capture`: graphs on the stand-in, which records and replays as a GPU would (standin/capture).

Kernels run as well, compiled for the processor when a test first asks for one. What none of this
can show: that CUDA takes the recording, and how fast it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import standin
import standin.capture
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, text
from minitorch7.capture import (
    CapturedStep,
    CaptureError,
    UncapturedStep,
    active,
    as_captured,
    library,
)
from minitorch7.kernels.cuda import products

few = settings(max_examples=30, deadline=None, derandomize=True)
EPS = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-11}


def draw(seed: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def batches(count: int, rows: int = 12, columns: int = 5) -> list[tuple[mt.Tensor, mt.Tensor]]:
    return [
        (
            mt.tensor(draw(i, rows, columns, dtype="float32")),
            mt.tensor(np.random.default_rng(i).integers(0, 3, rows)),
        )
        for i in range(count)
    ]


def classifier() -> nn.Module:
    mt.manual_seed(1)
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3)
    )


def train_step(model: nn.Module, opt: optim.Optimizer) -> Callable[..., mt.Tensor]:
    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return step


OPTIMISERS = {
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "Adam, decay": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "dampened": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
}


def train(capture: bool, make: Callable[..., Any], count: int, warmup: int = 3) -> list[Any]:
    """Losses, weights, running statistics, the optimiser's memory and the random state."""
    model = classifier()
    opt = make(model.parameters())
    step, data = train_step(model, opt), batches(count)
    if capture:
        step = mt.capture(step, *data[-1], warmup=warmup)
    cycle, losses = optim.OneCycle(count, 0.05), []
    with as_captured():
        for k, (x, y) in enumerate(data):
            rate, momentum = cycle.at(k)
            group = opt.param_groups[0]
            group["lr"] = rate
            group.update(betas=(momentum, 0.99)) if "betas" in group else None
            losses.append(step(x, y).item())
    kept = [t.data.get() for t in model.state_dict().values()]
    kept += [v.data.get() if isinstance(v, mt.Tensor) else v
             for state in opt.state_dict()["state"].values() for v in state.values()]  # fmt: skip
    return [losses, kept, mt.backend.get_rng_state()]


def same(found: list[Any], expected: list[Any]) -> None:
    assert found[0] == expected[0]
    for mine, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert found[2] == expected[2]


# ------------------------------------------------------------------- the same as without a graph


def test_two_hundred_steps_are_the_same_bit_by_bit(plain, dropout) -> None:
    """AdamW, one cycle, batch norm and dropout."""
    found = train(True, OPTIMISERS["AdamW"], 200)
    same(found, train(False, OPTIMISERS["AdamW"], 200))
    assert len(set(found[0])) == 200 and all(map(math.isfinite, found[0]))


@pytest.mark.parametrize("kind", ["AdamW", "nesterov"])
def test_the_same_through_the_kernels(gpu, kind) -> None:
    """Adam in one launch; dropout's numbers, products, losses and norms by ``.cu`` files."""
    same(train(True, OPTIMISERS[kind], 5, 1), train(False, OPTIMISERS[kind], 5))


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_two_hundred_steps_on_a_gpu(request, kind) -> None:
    if not request.config.getoption("--gpu"):
        pytest.skip("a real graph needs a GPU: pytest --gpu")
    with mt.using("cupy"):
        same(train(True, OPTIMISERS[kind], 200), train(False, OPTIMISERS[kind], 200))


@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("warmup", [1, 3])
def test_every_optimiser_reads_its_numbers_from_memory(plain, dropout, kind, warmup) -> None:
    same(train(True, OPTIMISERS[kind], 12, warmup), train(False, OPTIMISERS[kind], 12))


def test_captured_in_the_middle_of_training(plain, dropout) -> None:
    ends = []
    for late in (False, True):
        model = classifier()
        opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=0.5)
        step, losses = train_step(model, opt), []
        for k, (x, y) in enumerate(batches(8)):
            if late and k == 4:
                step = mt.capture(step, x, y)
            losses.append(step(x, y).item())
        ends.append(losses)
    assert ends[0] == ends[1]


def test_a_replay_is_two_uploads_at_most_and_one_graph(gpu) -> None:
    model = classifier()
    step = mt.capture(train_step(model, optim.AdamW(model.parameters())), *batches(1)[0])
    ((x, y),) = batches(1)
    with standin.count() as count, standin.no_sync():
        step(x, y)
    assert count.uploads == 1
    assert count.launches == 4  # two inputs and the numbers into their places; the graph


def test_capturing_leaves_no_trace(gpu) -> None:
    model = classifier()
    opt = optim.AdamW(model.parameters())
    before = {k: v.data.get() for k, v in model.state_dict().items()}
    random = mt.backend.get_rng_state()
    step = mt.capture(train_step(model, opt), *batches(1)[0])
    assert isinstance(step, CapturedStep) and not active()
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.data.get(), before[name])
    for state in opt.state.values():
        assert state["step"] == 0 and not state["exp_avg"].get().any()
    assert mt.backend.get_rng_state() == random
    assert mt.backend.library("cupy") is gpu
    assert all(p.grad is None for p in model.parameters())


def test_memory_comes_from_a_pool_of_its_own(gpu) -> None:
    model = classifier()
    step = mt.capture(train_step(model, optim.AdamW(model.parameters())), *batches(1)[0])
    tape = step._graph.tape
    assert tape.pools == {step._pool} and len(tape.calls) > 20


def scaled_step(model, opt, scaler) -> Callable[..., mt.Tensor]:
    """Mixed precision by hand, as the docstring of ``optim/grad_scaler.py`` has it."""

    def step(x: mt.Tensor, y: mt.Tensor) -> mt.Tensor:
        with mt.autocast():
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
        return loss

    return step


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_scaler_leaves_steps_out_on_the_device(plain, dropout, kind) -> None:
    """From a scale so large that the first steps are left out, and again when it has grown."""
    found = []
    for capture in (False, True):
        model = classifier()
        opt = OPTIMISERS[kind](model.parameters())
        scaler = optim.GradScaler(2.0**20, growth_interval=3)
        step, data, seen = scaled_step(model, opt, scaler), batches(16), []
        if capture:
            step = mt.capture(step, *data[0])
            assert scaler.get_scale() == 2.0**20 and scaler.state_dict()["_growth_tracker"] == 0
        with as_captured():
            for x, y in data:
                before = [p.data.get() for p in model.parameters()]
                loss = step(x, y).item()
                moved = any((p.data.get() != b).any()
                            for p, b in zip(model.parameters(), before, strict=True))  # fmt: skip
                seen.append((loss, moved, scaler.get_scale()))
        found.append([seen, [p.data.get().tolist() for p in model.parameters()]])
    assert found[0] == found[1]
    moves, scales = ([s[i] for s in found[1][0]] for i in (1, 2))
    assert moves[:2] == [False, False] and True in moves
    assert not all(moves[moves.index(True) :]) and max(scales[4:]) > min(scales)


def test_another_scale_is_noticed(plain) -> None:
    model, scaler = classifier().eval(), optim.GradScaler(1024.0)
    step = mt.capture(scaled_step(model, optim.SGD(model.parameters()), scaler), *batches(1)[0])
    step(*batches(1)[0])
    scaler.load_state_dict({**scaler.state_dict(), "scale": 2.0})
    with pytest.raises(CaptureError, match="scale of a GradScaler lies elsewhere.*again"):
        step(*batches(1)[0])


# ----------------------------------------------------------------------------- inputs and outputs


def test_new_data_and_outputs_of_any_shape(plain) -> None:
    w = mt.tensor(np.float32([[1, 2], [3, 4]]))

    def step(x):
        y = x @ w
        return {"y": y, "all": (y.sum(), [x * 2, None])}

    captured = mt.capture(step, mt.zeros(3, 2))
    first = captured(mt.ones(3, 2))["y"]
    np.testing.assert_array_equal(first.data.get(), np.ones((3, 2)) @ w.data.get())
    kept = first.clone()
    found = captured(mt.full((3, 2), 2.0))
    assert found["y"] is first  # overwritten, as promised
    np.testing.assert_array_equal(first.data.get(), 2 * kept.data.get())
    assert found["all"][0].item() == 60 and found["all"][1][1] is None
    assert captured.inputs[0].data is not found["all"][1][0].data


def test_gradients_stay_in_one_place(plain) -> None:
    w = nn.Parameter(mt.tensor(np.float32([2.0, 3.0])))
    opt = optim.SGD([w], lr=0.0)

    def step(x):
        opt.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        opt.step()
        return loss

    captured = mt.capture(step, mt.ones(2))
    captured(mt.tensor(np.float32([5, 7])))
    grad = w.grad
    np.testing.assert_array_equal(grad.data.get(), [5, 7])
    w.grad = None
    captured(mt.tensor(np.float32([1, 2])))
    assert w.grad is grad
    np.testing.assert_array_equal(grad.data.get(), [1, 2])


def test_a_kept_state_goes_on_from_call_to_call(plain) -> None:
    class Sum(nn.Module):
        def __init__(self):
            self.register_buffer("h", mt.zeros(2))

        def forward(self, x):
            self.h = (self.h + x).detach()
            return self.h * 1.0

    model = Sum()
    place = model.h
    step = mt.capture(model, mt.ones(2))
    assert model.h is place and not model.h.data.get().any()
    for k in (1, 2, 3):
        assert step(mt.ones(2)).data.get().tolist() == [k, k]
    assert model.h is place and model.h.data.get().tolist() == [3, 3]


@pytest.mark.numpy_only("it has nothing to record")
def test_numpy_runs_the_step() -> None:
    calls = []
    step = mt.capture(lambda x: calls.append(1) or x * 2, mt.ones(3))
    assert isinstance(step, UncapturedStep) and not calls
    assert step(mt.full((3,), 4.0)).numpy().tolist() == [8, 8, 8] and calls == [1]
    with pytest.raises(
        ValueError, match=r"input 0 is \(2,\) float32, .* with \(3,\) float32; .* smaller"
    ):
        step(mt.ones(2))


def test_wrong_inputs_are_named(plain) -> None:
    step = mt.capture(lambda x, y: x + y, mt.ones(3), mt.ones(3))
    with pytest.raises(TypeError, match="takes 2 inputs, as it was captured with, got 1"):
        step(mt.ones(3))
    with pytest.raises(TypeError, match="input 1 must be a Tensor, got .*float"):
        step(mt.ones(3), 1.0)
    with pytest.raises(ValueError, match=r"input 0 is \(3,\) float64, .* float32"):
        step(mt.ones(3).double(), mt.ones(3))
    with pytest.raises(mt.BackendError, match=r"input 1 is on 'numpy', .*\.to\('cupy'\)"):
        step(mt.ones(3), mt.ones(3).cpu())
    with pytest.raises(TypeError, match="step must be a function of tensors, got 3"):
        mt.capture(3)
    with pytest.raises(ValueError, match="warmup must be an integer of at least 1, got 0"):
        mt.capture(step, warmup=0)
    with pytest.raises(TypeError, match="input 0 must be a Tensor, got ndarray"):
        mt.capture(step, np.ones(3))
    with pytest.raises(mt.BackendError, match="different backends cannot meet"):
        mt.capture(step, mt.ones(3), mt.ones(3).cpu())


# ------------------------------------------------------------------------------ what is refused


REFUSALS = {
    "float": (lambda x: x * float(x.sum()), r"\.item\(\)"),
    "if": (lambda x: x if x.sum() > 0 else -x, "if t"),
    "print": (lambda x: print(x), "asnumpy reads values on the host"),
    "numpy": (lambda x: mt.tensor(x.cpu().numpy()), "asnumpy reads values on the host"),
    "array product": (lambda x: mt.Tensor(x.data @ x.data), "cuBLAS.*mt.matmul"),
    "a number": (lambda x: 3.0, "returned float"),
    "random": (lambda x: x + mt.rand(3), "draws random numbers on the host"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_captured_says_why(plain, capsys, name) -> None:
    step, why = REFUSALS[name]
    with pytest.raises((CaptureError, TypeError), match=f"(?s)capture.*{why}"):
        mt.capture(step, mt.ones(3))
    assert not active() and mt.backend.library("cupy") is plain
    assert mt.capture(lambda x: x * 2, mt.ones(3))(mt.ones(3)).data.get().tolist() == [2, 2, 2]


def test_shapes_that_depend_on_values_are_refused(plain) -> None:
    xp = mt.backend.library("cupy")
    with pytest.raises(CaptureError, match="xp.flatnonzero makes a result whose shape"):
        mt.capture(lambda x: mt.Tensor(mt.backend.library("cupy").flatnonzero(x.data)), mt.ones(3))
    assert xp.flatnonzero(xp.ones(3)).size == 3


def test_dropout_without_kernels_is_refused(plain) -> None:
    with pytest.raises(CaptureError, match="draws random numbers on the host.*MINITORCH7_KERNELS"):
        mt.capture(lambda x: F.dropout(x, 0.5), mt.ones(8))


def test_data_of_the_host_that_changes_is_refused_and_constants_are_not(plain) -> None:
    counter = iter(range(100))

    def counting(x):
        return x + mt.tensor(np.full(3, next(counter), np.float32))

    with pytest.raises(CaptureError, match=r"uploads an array \(3,\) float32 that is another"):
        mt.capture(counting, mt.ones(3))
    step = mt.capture(lambda x: x + mt.tensor(np.float32([1, 2, 3])), mt.ones(3))
    assert step(mt.ones(3)).data.get().tolist() == [2, 3, 4]


def test_gradients_left_by_an_earlier_call_are_refused(plain) -> None:
    w = nn.Parameter(mt.ones(3))
    opt = optim.SGD([w], lr=0.1)

    def step(x):
        (w * x).sum().backward()
        opt.step()

    with pytest.raises(CaptureError, match="gradients that an earlier call left.*zero_grad"):
        mt.capture(step, mt.ones(3))


def test_a_step_that_does_something_new_is_refused(plain) -> None:
    layers, calls = [nn.Linear(3, 3), nn.Linear(3, 3)], []

    def step(x):
        calls.append(1)
        return layers[len(calls) > 2](x)

    with pytest.raises(
        CaptureError, match="the module Linear while it was recorded, but in no run"
    ):
        mt.capture(step, mt.ones(2, 3), warmup=2)


def test_the_users_own_errors_come_through(plain) -> None:
    with pytest.raises(ZeroDivisionError):
        mt.capture(lambda x: 1 / 0, mt.ones(3))
    with mt.profile(), pytest.raises(CaptureError, match="mt.profile is running"):
        mt.capture(lambda x: x, mt.ones(3))
    with pytest.raises(CaptureError, match="one at a time"):
        mt.capture(lambda x: mt.capture(lambda y: y, x), mt.ones(3))


def moved_weights(model, opt):
    model.to("float64")


def loaded_memory(model, opt):
    opt.load_state_dict(opt.state_dict())


def switched_decay_off(model, opt):
    opt.param_groups[0]["weight_decay"] = 0


@pytest.mark.parametrize("change, why", [
    (moved_weights, "'weight' of a module lies elsewhere"),
    (lambda model, opt: model.eval(), "switched to training=False"),
    (loaded_memory, "'exp_avg' of AdamW lies elsewhere"),
    (switched_decay_off, "an option of AdamW became zero"),
])  # fmt: skip
def test_what_moved_since_is_noticed(plain, dropout, change, why) -> None:
    model = classifier()
    opt = optim.AdamW(model.parameters(), weight_decay=0.1)
    step = mt.capture(train_step(model, opt), *batches(1)[0])
    change(model, opt)
    with pytest.raises(CaptureError, match=f"{why}.*capture it again"):
        step(*batches(1)[0])


def test_another_seed_is_noticed(gpu) -> None:
    step = mt.capture(lambda x: F.dropout(x, 0.5), mt.ones(8))
    mt.manual_seed(5)
    with pytest.raises(CaptureError, match="manual_seed was called"):
        step(mt.ones(8))


# ------------------------------------------------------- the stand-in notices what a GPU would not


def test_the_standin_freezes_numbers_and_does_nothing_while_it_records(plain) -> None:
    xp, stream = plain, plain.cuda.Stream(non_blocking=True)
    a, rate = xp.ones(3), 2.0
    with stream, xp.cuda.using_allocator(xp.cuda.MemoryPool().malloc):
        stream.begin_capture()
        b = a * rate
        a += 1
        graph = stream.end_capture()
    assert a.get().tolist() == [1, 1, 1] and np.isnan(b.get()).all()
    rate = 7.0
    for k in (1, 2):
        graph.launch()
        assert b.get().tolist() == [2.0 * k] * 3 and a.get().tolist() == [k + 1] * 3


def test_the_standin_notices_freed_memory_and_uploads(plain) -> None:
    xp, stream = plain, plain.cuda.Stream(non_blocking=True)
    a = xp.ones(3)
    with stream:
        stream.begin_capture()
        b = a * 2
        graph = stream.end_capture()
    del a
    with pytest.raises(standin.capture.CaptureViolation, match=r"\(3,\) from outside .* freed"):
        graph.launch()
    with stream:
        stream.begin_capture()
        with pytest.raises(standin.capture.CaptureViolation, match="uploads"):
            xp.asarray(np.ones(3))
        with pytest.raises(RuntimeError, match="synchronous API calls are disallowed"):
            b.get()
        with pytest.raises(NotImplementedError, match="cuBLAS"):
            xp.matmul(xp.ones((2, 2)), xp.ones((2, 2)))
        stream.end_capture()


# ------------------------------------------------------------------------------------- products


lengths = st.sampled_from([1, 2, 3, 5, 17, 64, 65, 70])


@few
@given(
    st.tuples(lengths, lengths, lengths), st.sampled_from([(), (2,), (1, 3), (2, 1, 2)]),
    st.sampled_from([(), (1,), (2, 1), (3,)]), st.booleans(), st.booleans(),
    st.sampled_from(list(EPS)),
)  # fmt: skip
def test_product(compiled, size, of_a, of_b, a_turned, b_turned, dtype) -> None:
    m, n, k = size
    try:
        np.broadcast_shapes(of_a, of_b)
    except ValueError:
        of_b = ()
    a = draw(1, *of_a, *((k, m) if a_turned else (m, k)), dtype=dtype)
    b = draw(2, *of_b, *((n, k) if b_turned else (k, n)), dtype=dtype)
    a, b = (np.swapaxes(x, -1, -2) if t else x for x, t in ((a, a_turned), (b, b_turned)))
    on = [standin.cupy.asarray(np.ascontiguousarray(x)) for x in (a, b)]
    on = [x.swapaxes(-1, -2).copy().swapaxes(-1, -2) if t else x
          for x, t in zip(on, (a_turned, b_turned), strict=True)]  # fmt: skip
    with standin.count() as count:
        y = products.matmul(compiled, *on)._a
    if max(len(of_a), len(of_b)) <= 2:
        assert (count.launches, count.syncs) == (1, 0)  # turned matrices are read where they are
    expected = np.matmul(a.astype(float), b.astype(float))
    assert y.shape == expected.shape and y.dtype == dtype
    eps = EPS[dtype] * math.sqrt(k)
    np.testing.assert_allclose(y.astype(float), expected, eps, eps)


@pytest.mark.parametrize("shapes", [((5, 3000), (3000, 6)), ((3, 70, 1000), (1000, 2))])
@pytest.mark.parametrize("dtype", EPS)
def test_a_long_sum_is_cut_into_parts(compiled, shapes, dtype) -> None:
    a, b = (draw(i, *shape, dtype=dtype) for i, shape in enumerate(shapes))
    with standin.count() as count:
        y = products.matmul(compiled, standin.cupy.asarray(a), standin.cupy.asarray(b))
    assert count.launches == 2
    eps = EPS[dtype] * math.sqrt(shapes[1][0])
    np.testing.assert_allclose(y._a.astype(float), a.astype(float) @ b.astype(float), eps, eps)


def test_vectors_empty_sides_and_out(compiled) -> None:
    xp = standin.cupy
    a, b = draw(1, 4, 5), draw(2, 5)
    for left, right in ((a, b), (b, a.T), (b, b), (a[None], b)):
        y = products.matmul(compiled, xp.asarray(left), xp.asarray(np.ascontiguousarray(right)))
        np.testing.assert_allclose(y._a, np.matmul(left, right), 1e-12, 1e-12)
    for m, k, n in ((0, 3, 2), (3, 0, 2), (3, 2, 0)):
        y = products.matmul(compiled, xp.ones((m, k)), xp.ones((k, n)))
        assert y.shape == (m, n) and (y == 0).all()
    whole = xp.zeros((3, 8, 4))
    for out in (whole[0].T, whole[:, :4, 0], whole[1, ::2]):
        c = draw(3, *[5, out.shape[1]])
        left = draw(4, out.shape[0], 5)
        assert products.matmul(compiled, xp.asarray(left), xp.asarray(c), out) is out
        np.testing.assert_allclose(out._a, left @ c, 1e-12, 1e-12)


def test_what_a_product_refuses(compiled) -> None:
    xp = standin.cupy
    with pytest.raises(TypeError, match="one dtype of .*, got float64 and float32"):
        products.matmul(compiled, xp.ones((2, 2)), xp.ones((2, 2), dtype="float32"))
    with pytest.raises(ValueError, match=r"\(2, 3\) @ \(2, 3\): 3 is not 2"):
        products.matmul(compiled, xp.ones((2, 3)), xp.ones((2, 3)))
    with pytest.raises(ValueError, match=r"out is \(2, 2\) float64, the result \(2, 4\)"):
        products.matmul(compiled, xp.ones((2, 3)), xp.ones((3, 4)), xp.ones((2, 2)))


def test_tf32_only_where_cublas_would_use_it(compiled, monkeypatch) -> None:
    """1 + 2⁻¹¹ has a bit more than TF32, which rounds it up."""
    a, b = (standin.cupy.asarray(np.full((1, 1), v, np.float32)) for v in (1 + 2**-11, 1))
    monkeypatch.delenv("CUPY_TF32", raising=False)
    assert products.matmul(compiled, a, b)._a[0, 0] == np.float32(1 + 2**-11)
    monkeypatch.setenv("CUPY_TF32", "1")
    assert products.matmul(compiled, a, b)._a[0, 0] == np.float32(1 + 2**-10)


@pytest.mark.parametrize("subscripts, shapes", [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("bik,bkj->bij", [(2, 3, 4), (2, 4, 5)]),
    ("i,j->ji", [(2,), (3,)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("abc,cb->b", [(2, 3, 4), (4, 3)]),
    ("ijk,kl,lm->mi", [(2, 3, 4), (4, 5), (5, 6)]),
])  # fmt: skip
def test_einsum(compiled, subscripts, shapes) -> None:
    operands = [draw(i, *shape) for i, shape in enumerate(shapes)]
    y = products.einsum(compiled, subscripts, *map(standin.cupy.asarray, operands))
    np.testing.assert_allclose(y._a, np.einsum(subscripts, *operands), 1e-12, 1e-12)


def test_sorting_in_a_step(plain, monkeypatch) -> None:
    monkeypatch.setattr(library, "_ROWS", 7)  # several parts
    keys = np.random.default_rng(0).integers(0, 9, 40)

    def step(x):
        xp = mt.backend.library("cupy")
        return mt.Tensor(xp.sort(x.data)), mt.Tensor(xp.argsort(x.data))

    found = mt.capture(step, mt.tensor(keys))(mt.tensor(keys[::-1].copy()))
    np.testing.assert_array_equal(found[0].data.get(), np.sort(keys))
    np.testing.assert_array_equal(found[1].data.get(), np.argsort(keys[::-1], kind="stable"))


# --------------------------------------------------------------------------------- whole models


def convolutions() -> tuple[Callable[[mt.Tensor], mt.Tensor], list[nn.Module], list[mt.Tensor]]:
    model = nn.Sequential(
        nn.conv_layer(1, 4, stride=2), nn.res_block(4), nn.conv_layer(4, 6, stride=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    data = [mt.tensor(draw(k, 4, 1, 9, 9, dtype="float32")) for k in range(4)]
    return lambda x: (model(x) ** 2).mean(), [model], data


def language_model() -> tuple[Callable[[mt.Tensor], mt.Tensor], list[nn.Module], list[mt.Tensor]]:
    model = text.models.Model5(6, 5, 4)  # its state goes on from batch to batch
    rng = np.random.default_rng(0)
    data = [mt.tensor(rng.integers(0, 6, (4, 7))) for _ in range(4)]
    return lambda x: F.cross_entropy(model(x).flatten(0, 1), x.flatten()), [model], data


def two_players() -> tuple[Callable[[mt.Tensor], mt.Tensor], list[nn.Module], list[mt.Tensor]]:
    generator, critic = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
    data = [mt.tensor(draw(k, 6, 3, dtype="float32")) for k in range(4)]
    return lambda x: critic(generator(x)).mean(), [generator, critic], data


@pytest.mark.parametrize("make", [convolutions, language_model, two_players])
def test_models(plain, make) -> None:
    found = []
    for capture in (False, True):
        mt.manual_seed(3)
        loss_of, models, data = make()
        opts = [optim.AdamW(m.parameters(), lr=0.01) for m in models]

        def step(x, loss_of=loss_of, opts=opts):
            losses = []
            for opt in opts:
                losses.append(loss_of(x))
                losses[-1].backward()
                opt.step()
                for each in opts:
                    each.zero_grad()
            return losses

        step = mt.capture(step, data[0]) if capture else step
        found.append([[loss.item() for loss in step(x)] for x in data])
    assert found[0] == found[1] and len({str(losses) for losses in found[0]}) == 4
