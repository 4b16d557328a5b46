"""Lesson 3: what a layer learns, batch norm, one cycle, residual and dense blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.learner.recorder import SmoothedLoss
from minitorch7.nn import NormType
from minitorch7.optim.schedules import OneCycle

from . import exercise, expect, expect_close, expect_function
from .likeness import expect_no_slip, like

# the axes of wrong means, and what to say of them
MEANS = {
    "The mean is over the batch alone, so each pixel has its own. A channel has one "
    "mean, over all its pixels in all pictures.": (0,),
    "The mean is over the picture alone (that is instance norm). A channel has one "
    "mean, over all its pixels in all pictures of the batch.": (2, 3),
    "The mean is over all channels of a picture (that is layer norm). Each channel has "
    "its own.": (1, 2, 3),
    "All channels share one mean here. Each channel has its own.": (0, 1, 2, 3),
}


@exercise("3.1")
def parameters(answer: Any) -> None:
    expect_function(answer, "parameters", "ni, nf, ks, norm")
    rng = np.random.default_rng()
    cases = [(8, 16, 3, True), (8, 16, 3, False)]
    cases += [
        (*rng.integers(1, 40, 2).tolist(), int(rng.choice([1, 5, 7])), k % 2)
        for k in (0, 1)
    ]
    for ni, nf, ks, norm in cases:
        layer = nn.conv_layer(ni, nf, ks, norm_type=NormType.Batch if norm else None)
        wanted = sum(p.numel() for p in layer.parameters())
        found = answer(ni, nf, ks, bool(norm))
        slips = {
            "Each output looks at all inputs: it has a kernel for each.": wanted
            - (ni - 1) * nf * ks**2
        }
        if norm:
            slips |= {
                "With a batch norm, the convolution has no bias: the norm's shift "
                "would undo it.": wanted + nf,
                "The batch norm learns too: a scale and a shift for each channel that "
                "comes out.": wanted - 2 * nf,
                "The batch norm learns two numbers a channel, not one: a scale and a "
                "shift.": wanted - nf,
                "The running mean and variance are measured, not learned: they are no "
                "parameters.": wanted + 2 * nf,
            }
        else:
            slips |= {
                "Without a batch norm, nothing undoes the convolution's bias, so it "
                "has one for each output.": wanted - nf,
                "Without a batch norm there is nothing to scale and to shift.": wanted
                + 2 * nf,
            }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"parameters({ni}, {nf}, {ks}, {bool(norm)})")


@exercise("3.2")
def batch_norm(answer: Any) -> None:
    expect_function(answer, "batch_norm", "x, gamma, beta")
    rng = np.random.default_rng()
    for spread in (1.0, 0.01):  # in the second case ε counts
        n, c, h, w = rng.integers(2, 5, 4).tolist()
        x = rng.normal(3, spread, (n, c, h, w)) * rng.uniform(0.5, 2, (1, c, 1, 1))
        gamma, beta = rng.uniform(0.5, 2, c), rng.normal(0, 1, c)
        wanted = F.batch_norm(
            *_tensors(x), None, None, *_tensors(gamma, beta), training=True
        )
        found = answer(x.copy(), gamma.copy(), beta.copy())

        scale, shift = gamma[:, None, None], beta[:, None, None]
        right = (0, 2, 3)
        y = _standardised(x, right)
        root = np.sqrt(x.var(right, keepdims=True) + 1e-5)
        slips = {
            hint: _standardised(x, axes) * scale + shift for hint, axes in MEANS.items()
        }
        slips |= {
            "This divides by the unbiased variance (by n − 1). Batch norm normalises "
            "by the biased one, and keeps the other for its running "
            "average.": _standardised(x, right, 1) * scale + shift,
            "ε = 1e-5 is missing: without it a channel that is the same everywhere "
            "would be divided by 0.": _standardised(x, right, eps=0) * scale + shift,
            "This divides by the variance. The unit goes only if one divides by its "
            "root.": y / root * scale + shift,
            "This is normalised, but neither scaled by γ nor shifted by β.": y,
        }
        expect_no_slip(found, wanted, slips)
        expect_close(found, wanted, f"The answer for x of shape {x.shape}")


@exercise("3.3")
def rate(answer: Any) -> None:
    expect_function(answer, "rate", "k, n, top")
    rng = np.random.default_rng()
    for _ in range(3):
        n, top = int(rng.integers(50, 500)), float(rng.choice([0.1, 0.05, 3e-3]))
        cycle, up = OneCycle(n, top), int(0.3 * n)
        down = up + (n - up) // 4
        hints = {
            "The first batch runs with top/25, not with nothing.": 0,
            f"Of {n} batches, {up} go up; the next runs with all of top.": up,
            "Would a straight line be there, or half a cosine, level at both ends? "
            "(1 + cos(π·p))/2 goes from 1 to 0.": up // 4,
            f"On the way down, p is the share of the {n - up} batches that go "
            "down.": down,
            "The last batch is nearly at top/250,000; batch n would be there.": n - 1,
        }
        for hint, k in hints.items():
            found, wanted = answer(k, n, top), cycle.at(k)[0]
            expect(
                like(found, wanted, 1e-4),
                f"rate({k}, {n}, {top}) is {found:.4g}; "
                f"{wanted:.4g} was expected. {hint}",
            )


@exercise("3.4")
def smoothed(answer: Any) -> None:
    expect_function(answer, "smoothed", "losses")
    rng = np.random.default_rng()
    for n in (1, 3, int(rng.integers(20, 60))):
        losses = rng.uniform(0.5, 3, n).round(3).tolist()
        smooth = SmoothedLoss()
        wanted = [smooth.add(loss) for loss in losses]
        raw = [m * (1 - 0.98**k) for k, m in enumerate(wanted, 1)]
        found = answer(list(losses))
        from_first = [losses[0]]
        for loss in losses[1:]:
            from_first.append(0.98 * from_first[-1] + 0.02 * loss)
        slips = {
            "This starts from the first loss, which so keeps a weight of 0.98ⁿ and is "
            "heard for long. Start m at 0, and divide by 1 − 0.98ⁿ.": from_first,
            "m starts at 0 and is too small at first: after n losses its weights add "
            "up to 1 − 0.98ⁿ. Divide by that.": raw,
        }
        expect_no_slip(found, wanted, slips)
        expect_close(
            found, wanted, f"smoothed({losses[:3]}{' and more' if n > 3 else ''})"
        )


@exercise("3.5")
def do_nothing(answer: Any) -> None:
    expect_function(answer, "do_nothing", "block")
    block = nn.res_block(8)
    rng = np.random.default_rng()
    for p in block.parameters():
        p.data[...] += rng.normal(0, 0.3, p.shape).astype(np.float32)
    with mt.no_grad():
        for _ in range(5):
            block(mt.randn(16, 8, 6, 6))  # so that the running statistics are some
    layers = list(block.modules())
    answer(block)
    expect(
        list(block.modules()) == layers,
        "The block must keep its layers: only the values of its weights may change.",
    )
    x = mt.randn(4, 8, 6, 6)
    with mt.no_grad():
        training = (block(x) - x).abs().max().item()
        with nn.evaluating(block):
            evaluating = (block(x) - x).abs().max().item()
    expect(
        training < 1e-6,
        f"While training it still adds up to {training:.2g} to x. What arrives at the "
        "sum comes from the block's last layer. Look at print(block): which is it, and "
        "what are its weights?",
    )
    expect(
        evaluating < 1e-6,
        "While training it does nothing; in evaluation it adds up to "
        f"{evaluating:.2g}. There the batch norm subtracts its running mean, whatever "
        "comes: zeros do not stay zeros in it.",
    )


@exercise("3.6")
def dense_net(answer: Any) -> None:
    model = (
        answer() if callable(answer) and not isinstance(answer, nn.Module) else answer
    )
    expect(
        isinstance(model, nn.Module),
        "The answer is a function dense_net() that makes a model.",
    )
    merges = [m for m in model.modules() if isinstance(m, nn.MergeLayer)]
    expect(
        len(merges) == 4 and all(merge.dense for merge in merges),
        "It needs four dense blocks, one after each stride-2 layer but the last; it "
        f"has {sum(merge.dense for merge in merges)}.",
    )
    with mt.no_grad(), nn.evaluating(model):
        found = model(mt.randn(2, 1, 28, 28)).shape
    expect(found == (2, 10), f"Two digits should give scores (2, 10), not {found}.")
    inputs = [m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    outputs = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    wanted_in, wanted_out, ni = [], [], 1
    for nf in (8, 16, 32, 16):
        wanted_in += [ni, nf, nf]
        wanted_out += [nf, nf, nf]
        ni = 2 * nf
    expect(
        outputs == [*wanted_out, 10],
        f"The convolutions give {outputs} channels; the lesson's network has "
        f"{[*wanted_out, 10]}. The dense block itself doubles them: what must change "
        "is what the next layer takes in.",
    )
    expect(
        inputs == [*wanted_in, ni],
        f"The convolutions take {inputs} channels; {[*wanted_in, ni]} were expected.",
    )


def _standardised(
    x: np.ndarray, axes: tuple[int, ...], ddof: int = 0, eps: float = 1e-5
) -> np.ndarray:
    root = np.sqrt(x.var(axes, keepdims=True, ddof=ddof) + eps)
    return (x - x.mean(axes, keepdims=True)) / root


def _tensors(*arrays: np.ndarray) -> list[Any]:
    return [mt.tensor(array) for array in arrays]
