"""Matrix products, in all the shapes they come in."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from .. import backend
from ..autograd import Function, Tensor
from ._arguments import (
    axis_of,
    broadcast_shape,
    cast,
    check_same_backend,
    check_same_dtype,
    check_tensor,
    common_dtype,
)
from .broadcasting import broadcast_to, sum_to


class MatMul(Function):
    """Y = A·B for (…, m, k) and (…, k, n);  dA = dY·Bᵀ, dB = Aᵀ·dY"""

    def forward(self, xp, a, b):
        self.save(a, b)
        return xp.matmul(a, b)

    def backward(self, grad):
        a, b = self.saved
        need_a, need_b = self.needs_input_grad
        return (
            sum_to(matmul(grad, b.mT), a.shape) if need_a else None,
            sum_to(matmul(a.mT, grad), b.shape) if need_b else None,
        )


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product over the last two axes; leading axes are broadcast.

    A tensor of one axis is a row on the left, a column on the right, and the axis is dropped again.
    """
    a, b = _pair("matmul", input, other)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: both need at least one axis, got {a.shape} and {b.shape}")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: {a.shape} @ {b.shape}: the last axis of the first ({a.shape[-1]}) must equal "
            f"the {'second last' if b.ndim > 1 else 'only'} axis of the second "
            f"({b.shape[-2 if b.ndim > 1 else 0]})"
        )
    if a.ndim == 1:
        y = matmul(a.unsqueeze(0), b if b.ndim > 1 else b.unsqueeze(1))
        return y.squeeze(-2) if b.ndim > 1 else y.reshape(())
    if b.ndim == 1:
        return matmul(a, b.unsqueeze(1)).squeeze(-1)
    broadcast_shape("matmul", a.shape[:-2], b.shape[:-2])
    return MatMul()(a, b)


def _pair(function: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = check_tensor(function, "input", a), check_tensor(function, "other", b)
    check_same_backend(function, a, b)
    if a.dtype != b.dtype:
        raise TypeError(
            f"{function}: input is {a.dtype} but other is {b.dtype}; convert one with .to(dtype)"
        )
    return a, b


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """A batch of products: (B, m, k) and (B, k, n) → (B, m, n); nothing is broadcast."""
    a, b = _pair("bmm", input, mat2)
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise ValueError(
            f"bmm: needs (B, m, k) and (B, k, n) with one B and one k, got {a.shape} and {b.shape}"
        )
    return matmul(a, b)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """y[i, j] = input[i]·vec2[j]."""
    a, b = check_tensor("outer", "input", input), check_tensor("outer", "vec2", vec2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: needs two vectors, got shapes {a.shape} and {b.shape}")
    return a.unsqueeze(1) * b.unsqueeze(0)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x·Wᵀ + b: x (…, in), W (out, in), b (out,) → (…, out)."""
    x, w = check_tensor("linear", "input", input), check_tensor("linear", "weight", weight)
    bias = None if bias is None else check_tensor("linear", "bias", bias)
    check_same_dtype("linear", x, weight=w, bias=bias)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1]:
        got = x.shape[-1] if x.ndim else "no"
        expects = w.shape[1] if w.ndim == 2 else "two axes (out, in)"
        raise ValueError(
            f"linear: input has {got} features but weight expects {expects} "
            f"(input {x.shape}, weight {w.shape})"
        )
    if bias is not None and bias.shape != w.shape[:1]:
        raise ValueError(f"linear: bias must have shape {w.shape[:1]}, got {bias.shape}")
    rows = x if x.ndim <= 2 else x.flatten(0, -2)  # one 2-D product, not many
    y = matmul(rows, w.mT)
    y = y if bias is None else y + bias
    return y if x.ndim <= 2 else y.reshape(*x.shape[:-1], w.shape[0])


# ---------------------------------------------------------------------------------------- einsum


class Einsum(Function):
    """y = Σ of products by subscripts;  dx_k = the same sum, dy in place of operand k"""

    def __init__(self, inputs: list[str], output: str) -> None:
        self.operands, self.output = inputs, output

    def forward(self, xp, *operands):
        self.save(*operands)
        return xp.einsum(f"{','.join(self.operands)}->{self.output}", *operands)

    def backward(self, grad):
        operands = self.saved
        return [
            self._operand_grad(k, grad, operands) if needed else None
            for k, needed in enumerate(self.needs_input_grad)
        ]

    def _operand_grad(self, k: int, grad: Tensor, operands: list[Tensor]) -> Tensor:
        """An index that only operand k has was summed away: its gradient is alike all along it."""
        others = [i for i in range(len(operands)) if i != k]
        subscripts = [self.output] + [self.operands[i] for i in others]
        known = "".join(s for s in self.operands[k] if any(s in have for have in subscripts))
        found = Einsum(subscripts, known)(grad, *[operands[i] for i in others])
        shape = operands[k].shape
        kept = tuple(n if s in known else 1 for s, n in zip(self.operands[k], shape, strict=True))
        return broadcast_to(found.reshape(kept), shape)


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Products summed by Einstein's convention: ``einsum("bik,bkj->bij", a, b)``.

    One letter an axis; letters absent from the output are summed over; without ``->`` the output
    has the letters that occur once, in alphabetical order; ``...`` stands for leading axes; a
    letter repeated within one operand takes its diagonal; lengths of 1 are stretched.
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation must be text such as 'ij,jk->ik', got {equation!r}")
    strange = set(equation) - set(string.ascii_letters + ",.-> ")
    if strange:
        raise ValueError(f"einsum: {equation!r} holds {sorted(strange)}, which are no letters")
    if len(operands) == 1 and isinstance(operands[0], Sequence):
        operands = tuple(operands[0])
    tensors = [check_tensor("einsum", f"operand {i}", t) for i, t in enumerate(operands)]
    dtype = tensors[0].dtype if tensors else None
    for t in tensors[1:]:
        dtype = common_dtype(cast(tensors[0], dtype), t)
    tensors = [cast(t, dtype) for t in tensors]
    inputs, output = _subscripts(equation, tensors)
    lengths = _lengths(equation, inputs, tensors)
    unknown = [s for s in output if s not in lengths]
    if unknown or len(set(output)) != len(output):
        raise ValueError(
            f"einsum: {equation!r}: the output {output!r} must use each letter once, and only "
            "letters of the operands"
        )
    tensors = [
        broadcast_to(t, tuple(lengths[s] for s in letters))
        for letters, t in zip(inputs, tensors, strict=True)
    ]
    inputs, tensors = _without_diagonals(inputs, tensors)
    return Einsum(inputs, output)(*tensors)


def _subscripts(equation: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with ``...`` spelled out in capitals."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not equation or len(inputs) != len(tensors):
        raise ValueError(
            f"einsum: {equation!r} names {len(inputs)} operands, but {len(tensors)} were given"
        )
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in equation]
    most = 0
    for i, (letters, t) in enumerate(zip(inputs, tensors, strict=True)):
        hidden = t.ndim - len(letters.replace("...", ""))
        if hidden < 0 or (hidden > 0 and "..." not in letters):
            raise ValueError(
                f"einsum: {letters!r} in {equation!r} does not fit operand {i} of shape {t.shape}"
            )
        inputs[i] = letters.replace("...", "".join(spare[:hidden][::-1]))
        most = max(most, hidden)
    dots = "".join(spare[:most][::-1])
    if arrow:
        return inputs, right.replace("...", dots)
    joined = "".join(inputs)
    once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in dots)
    return inputs, dots + "".join(once)


def _lengths(equation: str, inputs: list[str], tensors: list[Tensor]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for letters, t in zip(inputs, tensors, strict=True):
        for letter, n in zip(letters, t.shape, strict=True):
            known = lengths.setdefault(letter, n)
            if known == 1:
                lengths[letter] = n
            elif n not in (1, known):
                raise ValueError(
                    f"einsum: {equation!r}: letter {letter!r} stands for both "
                    f"{lengths[letter]} and {n}"
                )
    return lengths


def _without_diagonals(inputs: list[str], tensors: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """``ii`` becomes ``ij`` with an identity matrix ``ij`` beside it."""
    spare = [c for c in "zyxwvutsrqponmlkjihgfedcba" if not any(c in s for s in inputs)]
    inputs, tensors = list(inputs), list(tensors)
    for k in range(len(inputs)):
        letters = list(inputs[k])
        for axis, letter in enumerate(letters):
            if letter in letters[:axis]:
                letters[axis] = spare.pop(0)
                xp = backend.library(tensors[k].backend)
                eye = xp.eye(tensors[k].shape[axis], dtype=tensors[k].dtype)
                inputs.append(letter + letters[axis])
                tensors.append(Tensor(eye))
        inputs[k] = "".join(letters)
    return inputs, tensors


class AlongAxis(Function):
    """y = M·x along one axis, M a constant (out, in) matrix;  dx = Mᵀ·dy along that axis"""

    def __init__(self, matrix: Any, axis: int) -> None:
        self.matrix, self.axis = matrix, axis

    def forward(self, xp, x):
        last = xp.moveaxis(x, self.axis, -1)
        return xp.moveaxis(xp.matmul(last, self.matrix.T), -1, self.axis)

    def backward(self, grad):
        return AlongAxis(self.matrix.T, self.axis)(grad)


def along_axis(input: Tensor, matrix: Any, dim: int) -> Tensor:
    """The matrix (out, in), an array, applied to every line of `input` along `dim`."""
    axis = axis_of("along_axis", dim, input.ndim)
    xp = backend.library(input.backend)
    return AlongAxis(xp.asarray(matrix.astype(input.dtype)), axis)(input)
