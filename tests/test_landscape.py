"""Slices through a loss, and its Hessian, against losses whose second derivatives are known."""

from __future__ import annotations

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.learner import landscape
from minitorch7.vision import cifar_resnet

CURVATURES = np.array([5.0, 2.0, 1.0, 0.5, -1.0, -3.0])


def symmetric(eigenvalues: np.ndarray) -> np.ndarray:
    """A matrix with these eigenvalues and random eigenvectors."""
    rng = np.random.default_rng(7)
    q, _ = np.linalg.qr(rng.standard_normal((len(eigenvalues), len(eigenvalues))))
    return (q * eigenvalues) @ q.T


def quadratic(eigenvalues: np.ndarray):
    """(A, θ (2, 3), ½ θᵀAθ as a function without arguments)."""
    matrix = symmetric(eigenvalues)
    theta = mt.tensor(np.arange(6.0).reshape(2, 3) / 10, requires_grad=True)
    a = mt.tensor(matrix)

    def loss():
        flat = theta.reshape(6, 1)
        return 0.5 * (flat * (a @ flat)).sum()

    return matrix, theta, loss


def small_net():
    mt.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    x, y = mt.randn(5, 1, 4, 4), mt.tensor(np.array([0, 1, 0, 1, 1]))
    model.eval()
    return list(model.parameters()), lambda: F.cross_entropy(model(x), y)


# -------------------------------------------------------------------------------------- directions


def test_each_filter_of_a_direction_is_as_long_as_the_models(backend):
    params, _ = small_net()
    for p, d in zip(params, landscape.random_direction(params), strict=True):
        weights, direction = p.detach().numpy(), d.numpy()
        assert direction.dtype == weights.dtype and direction.shape == weights.shape
        if weights.ndim == 1:
            assert not direction.any()
            continue
        for mine, drawn in zip(weights, direction, strict=True):
            assert np.linalg.norm(drawn) == pytest.approx(np.linalg.norm(mine), rel=1e-5)


def test_directions_follow_the_seed(backend):
    params, _ = small_net()
    drawn = []
    for seed in (3, 3, 4):
        mt.manual_seed(seed)
        drawn.append(landscape.random_direction(params)[0].numpy())
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_a_picture_does_not_see_how_a_relu_net_is_scaled(backend):
    """One layer times 8, the next divided by 8: the same function, and the same slice."""
    mt.manual_seed(0)
    first, second = nn.Linear(4, 6, bias=False), nn.Linear(6, 1, bias=False)
    x = mt.randn(7, 4)
    params = [first.weight, second.weight]
    surfaces = []
    for factor in (1.0, 8.0):
        first.weight.data *= factor
        second.weight.data /= factor
        mt.manual_seed(1)
        directions = [landscape.random_direction(params)]
        at = np.linspace(-1, 1, 5)

        def loss():
            return (second(first(x).relu()) ** 2).mean()

        surfaces.append(landscape.loss_on_grid(loss, params, directions, at))
    assert surfaces[1] == pytest.approx(surfaces[0], rel=1e-5)
    assert np.ptp(surfaces[0]) > 0.1


# ------------------------------------------------------------------------------------------ slices


def test_a_slice_of_a_quadratic_is_the_quadratic(backend):
    matrix, theta, loss = quadratic(CURVATURES)
    before = theta.detach().numpy().copy()
    rng = np.random.default_rng(0)
    one, two = (rng.standard_normal((2, 3)) for _ in range(2))
    at = np.linspace(-1, 1, 5)
    directions = [[mt.tensor(one)], [mt.tensor(two)]]
    surface = landscape.loss_on_grid(loss, [theta], directions, at)
    for i, a in enumerate(at):
        for j, b in enumerate(at):
            flat = (before + a * one + b * two).ravel()
            assert surface[i, j] == pytest.approx(0.5 * flat @ matrix @ flat, rel=1e-9)
    assert (theta.detach().numpy() == before).all()
    assert surface.dtype == np.float64


def test_the_weights_come_back_after_an_error(backend):
    params, _ = small_net()
    before = [p.detach().numpy().copy() for p in params]

    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        landscape.loss_on_grid(broken, params, [landscape.random_direction(params)], [0.5])
    assert all((p.detach().numpy() == kept).all() for p, kept in zip(params, before, strict=True))


def test_curvatures_of_a_known_surface():
    a, b = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    surface = 2 * a**2 + 3 * a * b - b**2 + a - 7  # Hessian [[4, 3], [3, −2]]
    low, high = landscape.slice_curvatures(surface, 0.25)
    wanted = np.linalg.eigvalsh([[4.0, 3.0], [3.0, -2.0]])
    assert low.shape == high.shape == (7, 7)
    assert low == pytest.approx(np.full((7, 7), wanted[0]))
    assert high == pytest.approx(np.full((7, 7), wanted[1]))


def test_climb():
    assert landscape.climb([5, 3, 2, 0]) == 0
    assert landscape.climb([5, 3, 4, 1, 1.5]) == pytest.approx(1.5)


# ----------------------------------------------------------------------------------------- Hessian


def test_products_with_a_known_hessian(backend):
    matrix, theta, loss = quadratic(CURVATURES)
    v = np.random.default_rng(1).standard_normal((2, 3))
    hessian = landscape.Hessian(loss(), [theta])
    for _ in range(2):  # the graph is still there the second time
        (product,) = hessian.times([mt.tensor(v)])
        assert product.numpy().ravel() == pytest.approx(matrix @ v.ravel())


def test_products_in_scaled_coordinates(backend):
    matrix, theta, loss = quadratic(CURVATURES)
    d = np.linspace(0.5, 2, 6).reshape(2, 3)
    v = np.random.default_rng(1).standard_normal((2, 3))
    hessian = landscape.Hessian(loss(), [theta], [mt.tensor(d)])
    (product,) = hessian.times([mt.tensor(v)])
    assert product.numpy().ravel() == pytest.approx(d.ravel() * (matrix @ (d * v).ravel()))


@pytest.mark.parametrize(
    "eigenvalues",
    [CURVATURES, -CURVATURES, np.array([4.0, 1.0, 0.5, 0.5, 0.2, 0.1]), np.zeros(6)],
    ids=["mixed", "turned over", "convex", "flat"],
)
def test_extreme_eigenvalues(backend, eigenvalues):
    mt.manual_seed(0)
    _, theta, loss = quadratic(eigenvalues)
    hessian = landscape.Hessian(loss(), [theta])
    low, high = landscape.extreme_eigenvalues(hessian)
    assert low == pytest.approx(eigenvalues.min(), abs=1e-9)
    assert high == pytest.approx(eigenvalues.max(), abs=1e-9)


def test_extremes_are_found_long_before_all_directions_are_tried(backend):
    """400 eigenvalues near 0 and two far out, on either side: 15 products find the two."""
    mt.manual_seed(0)
    values = np.concatenate([np.linspace(-0.1, 0.1, 400), [3.0, -1.0]])
    theta, d = mt.tensor(np.zeros(402), requires_grad=True), mt.tensor(values)
    hessian = landscape.Hessian(0.5 * (d * theta * theta).sum(), [theta])
    low, high = landscape.extreme_eigenvalues(hessian, 15)
    assert (low, high) == (pytest.approx(-1, abs=1e-3), pytest.approx(3, abs=1e-3))


def test_a_straight_loss_has_no_curvature(backend):
    theta = mt.tensor(np.ones(3), requires_grad=True)
    hessian = landscape.Hessian((theta * mt.tensor(np.arange(3.0))).sum(), [theta])
    assert not hessian.times([mt.tensor(np.ones(3))])[0].numpy().any()


def test_a_networks_product_against_differences_of_its_gradient():
    """(∇L(θ + hv) − ∇L(θ − hv))/2h, in float64, through convolutions, batch norm and shortcuts."""
    mt.manual_seed(0)
    model = cifar_resnet(8, width=2, ni=1).eval()
    for p in [*model.parameters(), *model.buffers()]:
        if p.data.dtype.kind == "f":
            p.data = p.data.astype(np.float64)
    x, y = mt.randn(3, 1, 8, 8, dtype=np.float64), mt.tensor(np.array([1, 2, 3]))
    params = list(model.parameters())

    def loss():
        return F.cross_entropy(model(x), y)

    v = [mt.randn(*p.shape, dtype=np.float64) for p in params]
    product = landscape.Hessian(loss(), params).times(v)
    h, ends = 1e-6, []
    for sign in (1, -1):
        with landscape.moved(params, [v], [sign * h]):
            ends.append(mt.grad(loss(), params))
    for found, plus, minus in zip(product, *ends, strict=True):
        wanted = (plus.numpy() - minus.numpy()) / (2 * h)
        assert found.numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


# --------------------------------------------------------------------------------------- bad input


def test_bad_input(backend):
    theta = mt.tensor(np.ones((2, 3)), requires_grad=True)
    loss = (theta * theta).sum()
    with pytest.raises(ValueError, match="random_direction: params must be the model's param"):
        landscape.random_direction([])
    with pytest.raises(ValueError, match="loss_on_grid: give at least one direction"):
        landscape.loss_on_grid(lambda: loss, [theta], [], [0.0])
    with pytest.raises(ValueError, match=r"got \[\(3,\)\], the parameters have \[\(2, 3\)\]"):
        landscape.Hessian(loss, [theta]).times([mt.tensor(np.ones(3))])
    with pytest.raises(ValueError, match="needs a surface of 3×3 points or more"):
        landscape.slice_curvatures(np.zeros((2, 5)), 0.1)
    with pytest.raises(ValueError, match="spacing must be above 0"):
        landscape.slice_curvatures(np.zeros((5, 5)), 0.0)
    with pytest.raises(ValueError, match="climb: needs a line of 2 points"):
        landscape.climb([1.0])
    with pytest.raises(ValueError, match="iterations must be"):
        landscape.extreme_eigenvalues(landscape.Hessian(loss, [theta]), iterations=0)
