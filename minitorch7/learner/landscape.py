"""The loss around a point: slices to look at, and numbers that tell two landscapes apart.

A network's loss is a function of all its weights θ. `random_direction` gives directions in which
different networks can be compared, `loss_on_grid` the loss on a line or a plane through θ,
`slice_curvatures` and `climb` read such a slice, and `Hessian` with `extreme_eigenvalues` looks in
all directions at once.

    params = list(model.parameters())
    loss = lambda: F.cross_entropy(model(x), y)     # of one fixed batch, in evaluation mode
    directions = random_direction(params), random_direction(params)
    surface = loss_on_grid(loss, params, directions, np.linspace(-1, 1, 21))

Source: Li, Xu, Taylor, Studer, Goldstein 2018, *Visualizing the loss landscape of neural nets*
(arXiv 1712.09913).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .. import backend
from ..autograd import Tensor, grad, no_grad
from ..functional._arguments import check_integer

Loss = Callable[[], Tensor]
Vector = list[Tensor]  # one tensor a parameter, of its shape

TINY = 1e-10  # what keeps a direction finite at a filter that drew zeros


# ------------------------------------------------------------------------------------- directions


def filter_norms(params: Sequence[Tensor]) -> Vector:
    """The length of each filter, ‖θ_j‖, in the shape of its parameter; 0 for one-axis parameters.

    A filter is what makes one channel of the output: weight[j] of a convolution or a linear layer.
    Biases and batch norm's γ and β have one axis; the paper leaves them where they are.
    """
    norms = []
    for p in _checked("filter_norms", params):
        data = p.data
        if data.ndim > 1:
            length = (data * data).sum(tuple(range(1, data.ndim)), keepdims=True) ** 0.5
            norms.append(Tensor(data * 0 + length))
        else:
            norms.append(Tensor(data * 0))
    return norms


def random_direction(params: Sequence[Tensor]) -> Vector:
    """A random direction with each filter as long as the model's:  d_j ← d_j/‖d_j‖ · ‖θ_j‖.

    Drawn from the normal distribution, by the stream of `manual_seed`; 0 for one-axis parameters.
    A ReLU net computes the same when one layer's weights are multiplied by ten and the next one's
    divided by ten, but a step of fixed length then means less to one and more to the other. Lengths
    taken from the filters make the picture the same for both (Li et al. 2018, §4).
    """
    drawn = []
    for p in _checked("random_direction", params):
        xp = backend.library(p.backend)
        drawn.append(Tensor(backend.normal(xp, p.shape, p.dtype)))
    own = filter_norms(drawn)
    return [
        Tensor(d.data / (length.data + TINY) * wanted.data)
        for d, length, wanted in zip(drawn, own, filter_norms(params), strict=True)
    ]


# ------------------------------------------------------------------------------------------ slices


@contextmanager
def moved(
    params: Sequence[Tensor], directions: Sequence[Vector], steps: Sequence[float]
) -> Iterator[None]:
    """Inside the ``with`` block the weights are θ + Σ stepsᵢ·directionsᵢ; then they are θ again."""
    before = [p.data.copy() for p in params]
    try:
        for i, p in enumerate(params):
            for step, direction in zip(steps, directions, strict=True):
                p.data += step * direction[i].data
            p.mark_changed()
        yield
    finally:
        for p, kept in zip(params, before, strict=True):
            p.data[...] = kept
            p.mark_changed()


def loss_on_grid(
    loss: Loss, params: Sequence[Tensor], directions: Sequence[Vector], at: Sequence[float]
) -> np.ndarray:
    """L(θ + α·δ + β·η + …) for all α, β, … of `at`: one axis a direction, float64.

    loss  a function without arguments that gives a Tensor of one number. For a slice to show the
          landscape and not chance, it must see the same batch each time, and a model in evaluation
          mode, or batch norm would follow the weights' size.

    The weights are as before afterwards, to the bit. ValueError for no direction, or one whose
    shapes are not the parameters'.
    """
    params = _checked("loss_on_grid", params)
    if not directions:
        raise ValueError("loss_on_grid: give at least one direction, see random_direction")
    for direction in directions:
        _check_vector("loss_on_grid", params, direction)
    surface = np.empty((len(at),) * len(directions))
    places = itertools.product(range(len(at)), repeat=len(directions))
    with no_grad():
        for place in places:
            with moved(params, directions, [float(at[i]) for i in place]):
                surface[place] = loss().item()
    return surface


def slice_curvatures(surface: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """The two eigenvalues of the slice's Hessian at each inner point: (smaller, larger).

    surface (m, n) → two arrays (m − 2, n − 2). Second derivatives are central differences:
    f_aa ≈ (f(a+h) − 2f + f(a−h))/h², f_ab ≈ (f₊₊ − f₊₋ − f₋₊ + f₋₋)/4h². Where the smaller is below
    0 the slice is not convex, and so neither is the loss: its whole Hessian has a negative
    eigenvalue there, too. The paper's §6 maps |smallest/largest| of the whole one.
    """
    f = np.asarray(surface, float)
    if f.ndim != 2 or min(f.shape) < 3:
        raise ValueError(f"slice_curvatures: needs a surface of 3×3 points or more, got {f.shape}")
    if not spacing > 0:
        raise ValueError(f"slice_curvatures: spacing must be above 0, got {spacing}")
    inner = f[1:-1, 1:-1]
    aa = (f[2:, 1:-1] - 2 * inner + f[:-2, 1:-1]) / spacing**2
    bb = (f[1:-1, 2:] - 2 * inner + f[1:-1, :-2]) / spacing**2
    ab = (f[2:, 2:] - f[2:, :-2] - f[:-2, 2:] + f[:-2, :-2]) / (4 * spacing**2)
    middle, half = (aa + bb) / 2, np.sqrt(((aa - bb) / 2) ** 2 + ab**2)
    return middle - half, middle + half


def climb(line: np.ndarray) -> float:
    """How much a walk along the line goes up: Σ max(0, next − this).

    From a distant point straight towards a minimum, 0 means downhill all the way; each barrier in
    between adds its height. Any convex function gives 0 there.
    """
    line = np.asarray(line, float)
    if line.ndim != 1 or len(line) < 2:
        raise ValueError(f"climb: needs a line of 2 points or more, got shape {line.shape}")
    return float(np.maximum(np.diff(line), 0).sum())


# ----------------------------------------------------------------------------------------- Hessian


class Hessian:
    """The second derivatives H of a loss at the present weights, known by their products.

    loss    a Tensor of one number, computed from `params`
    scales  D, one tensor a parameter: then the products are with D·H·D. With `filter_norms` this is
            the Hessian in the coordinates of filter-normalised directions, which does not change
            when one layer is multiplied and the next divided.

    A network of n weights has n² second derivatives, too many to write down. H·v is one more walk
    backward: H·v = ∇(∇L·v), v held fixed (Pearlmutter 1994). The graph is kept for further products
    as long as this object lives.
    """

    def __init__(
        self, loss: Tensor, params: Sequence[Tensor], scales: Vector | None = None
    ) -> None:
        self.params = _checked("Hessian", params)
        if scales is not None:
            _check_vector("Hessian", self.params, scales)
        self.scales = scales
        self._gradient = grad(loss, self.params, create_graph=True)

    def times(self, vector: Vector) -> Vector:
        """H·v, or D·H·D·v. ValueError for a vector whose shapes are not the parameters'."""
        _check_vector("Hessian.times", self.params, vector)
        inner = self._scaled(vector)
        slope = sum((g * v.detach()).sum() for g, v in zip(self._gradient, inner, strict=True))
        if not slope.requires_grad:  # the gradient is the same everywhere
            return [Tensor(p.data * 0) for p in self.params]
        found = grad(slope, self.params, retain_graph=True, allow_unused=True)
        pairs = zip(found, self.params, strict=True)
        return self._scaled([Tensor(p.data * 0) if h is None else h.detach() for h, p in pairs])

    def _scaled(self, vector: Vector) -> Vector:
        if self.scales is None:
            return list(vector)
        return [Tensor(d.data * v.data) for d, v in zip(self.scales, vector, strict=True)]


def extreme_eigenvalues(hessian: Hessian, iterations: int = 40) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of H, by Lanczos' method, in so many products.

    Power iteration, v ← H·v/‖H·v‖, turns v towards the eigenvector whose eigenvalue is largest in
    size, and forgets every v on the way. Lanczos keeps them: q₁, q₂, … are v, H·v, H²·v, … made
    orthogonal to one another, and QᵀHQ is a small matrix whose extreme eigenvalues soon are those
    of H, at both ends. Here every new q is made orthogonal to all before, twice, since rounding
    would bring the first ones back (Golub & Van Loan, *Matrix computations*, §10.1).

    The start is drawn by the stream of `manual_seed`. The true extremes lie no further inside than
    the values found.
    """
    check_integer("extreme_eigenvalues", "iterations", iterations, 1)
    q = _unit(_flat([_normal_like(p) for p in hessian.params]))
    basis: list[np.ndarray] = []
    diagonal, beside = [], []
    while True:
        product = _flat(hessian.times(_shaped(q, hessian.params)))
        basis.append(q)
        diagonal.append(q @ product)
        for _ in range(2):
            for known in basis:
                product -= (known @ product) * known
        length = np.linalg.norm(product)
        if len(basis) == min(iterations, q.size) or length <= 1e-9 * np.abs(diagonal).max():
            break  # or what is left of the product is rounding: Q spans all that H can reach
        beside.append(length)
        q = product / length
    small = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values = np.linalg.eigvalsh(small)
    return float(values[0]), float(values[-1])


def _normal_like(p: Tensor) -> Tensor:
    return Tensor(backend.normal(backend.library(p.backend), p.shape, p.dtype))


def _flat(vector: Vector) -> np.ndarray:
    """All elements in one row on the host, float64."""
    return np.concatenate([backend.to_numpy(t.data).ravel() for t in vector]).astype(np.float64)


def _shaped(flat: np.ndarray, params: Sequence[Tensor]) -> Vector:
    """The way back: one tensor a parameter, of its shape and dtype, where it is."""
    parts = np.split(flat, np.cumsum([p.numel() for p in params])[:-1])
    pairs = zip(parts, params, strict=True)
    return [Tensor(backend.to(a.reshape(p.shape).astype(p.dtype), p.backend)) for a, p in pairs]


def _unit(flat: np.ndarray) -> np.ndarray:
    return flat / np.linalg.norm(flat)


# ------------------------------------------------------------------------------------------ checks


def _checked(function: str, params: Sequence[Tensor]) -> list[Tensor]:
    listed = [params] if isinstance(params, Tensor) else list(params)
    if not listed or not all(isinstance(p, Tensor) for p in listed):
        raise ValueError(f"{function}: params must be the model's parameters, got {listed!r:.60}")
    return listed


def _check_vector(function: str, params: Sequence[Tensor], vector: Vector) -> None:
    shapes = [tuple(getattr(v, "shape", ())) for v in vector]
    wanted = [tuple(p.shape) for p in params]
    if shapes != wanted:
        raise ValueError(
            f"{function}: a direction has one tensor a parameter, of its shape; got {shapes}, the "
            f"parameters have {wanted}"
        )
