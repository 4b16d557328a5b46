"""The losses of a GAN against the same written out number by number, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.gradcheck import gradcheck
from minitorch7.vision.gan_losses import (
    AdaptiveLoss,
    NoopLoss,
    WassersteinLoss,
    accuracy_thresh_expand,
    gan_loss_from_func,
    gradient_penalty,
)
from minitorch7.vision.gan_models import basic_critic, gan_critic


def host(t):
    return mt.backend.to_numpy(t.data)


def random(*shape, grad=False, seed=0):
    return mt.tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=grad)


def bce(score, target):
    """−log of the probability σ(score) that was given to what is so."""
    p = 1 / (1 + math.exp(-score))
    return -math.log(p if target else 1 - p)


def mean_bce(scores, targets):
    """Over every answer to every picture, each picture with its own target."""
    losses = [bce(s, t) for row, t in zip(scores, targets, strict=True) for s in np.ravel(row)]
    return sum(losses) / len(losses)


# ------------------------------------------------------------------------ many answers, one target


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 4),
    rest=st.lists(st.integers(1, 4), max_size=3),
    column=st.booleans(),
    dtype=st.sampled_from(["int64", "float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_adaptive_loss_by_hand(n, rest, column, dtype, seed):
    rng = np.random.default_rng(seed)
    scores, targets = rng.standard_normal((n, *rest)), rng.integers(0, 2, n)
    given = mt.tensor(targets.astype(dtype).reshape((n, 1) if column else n))
    loss = AdaptiveLoss(nn.BCEWithLogitsLoss())(mt.tensor(scores), given)
    assert loss.shape == () and loss.dtype == np.float64
    assert loss.item() == pytest.approx(mean_bce(scores, targets))


def test_adaptive_loss_on_both_backends(backend):
    scores, targets = mt.randn(3, 5), mt.tensor([1, 0, 1])
    loss = AdaptiveLoss(nn.BCEWithLogitsLoss())(scores, targets)
    assert loss.backend == backend
    assert loss.item() == pytest.approx(mean_bce(host(scores), [1, 0, 1]), rel=1e-5)


def test_adaptive_loss_gradient():
    scores, targets = random(3, 2, 2, grad=True), mt.tensor([1, 0, 1])
    gradcheck(lambda s: AdaptiveLoss(nn.BCEWithLogitsLoss())(s, targets), scores)


def test_adaptive_loss_turns_scores_into_what_its_loss_does():
    scores = random(2, 3)
    for crit in (nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits):
        assert np.allclose(host(AdaptiveLoss(crit).activation(scores)), host(F.sigmoid(scores)))
    assert AdaptiveLoss(nn.MSELoss()).activation(scores) is scores


@pytest.mark.parametrize("shape", [(4,), (3, 2), (3, 1, 1), ()])
def test_targets_that_do_not_fit(shape):
    scores, targets = mt.zeros(3, 25), mt.zeros(*shape)
    for function in (AdaptiveLoss(nn.MSELoss()), accuracy_thresh_expand):
        with pytest.raises(ValueError, match=r"one target for each of the 3 pictures, .* got \("):
            function(scores, targets)


def test_answers_that_are_no_tensors_or_to_no_pictures():
    scores, targets, loss = mt.zeros(3, 2), mt.zeros(3), AdaptiveLoss(nn.MSELoss())
    for function in (loss, accuracy_thresh_expand):
        for pair in ((scores.data, targets), (scores, targets.data), (None, targets)):
            with pytest.raises(
                TypeError, match=r"(AdaptiveLoss|_expand): .* must be a Tensor, got"
            ):
                function(*pair)
        with pytest.raises(ValueError, match=r"needs the critic's answers .* got shape \(\)"):
            function(mt.tensor(1.0), targets)
    _, critic_loss = gan_loss_from_func(nn.MSELoss(), loss)
    with pytest.raises(ValueError, match=r"gan_loss_from_func: needs the critic's answers"):
        critic_loss(mt.tensor(1.0), mt.tensor(1.0))


@pytest.mark.parametrize("thresh", [0, 1, -0.5, math.nan, "a", None])
def test_thresholds_that_no_probability_crosses(thresh):
    with pytest.raises(ValueError, match="accuracy_thresh: thresh must be a number between 0 and"):
        accuracy_thresh_expand(mt.zeros(3, 2), mt.zeros(3), thresh)
    assert accuracy_thresh_expand(mt.zeros(3, 2), mt.zeros(3), 1, sigmoid=False) == 1


def test_adaptive_loss_needs_a_loss():
    with pytest.raises(TypeError, match="AdaptiveLoss: crit must be a loss, .* got None"):
        AdaptiveLoss(None)
    with pytest.raises(TypeError, match=r"got the class MSELoss; make one: add \(\)"):
        AdaptiveLoss(nn.MSELoss)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 5),
    k=st.integers(1, 6),
    thresh=st.floats(0.05, 0.95),
    sigmoid=st.booleans(),
    seed=st.integers(0, 99),
)
def test_accuracy_thresh_expand_by_hand(n, k, thresh, sigmoid, seed):
    rng = np.random.default_rng(seed)
    scores, targets = rng.standard_normal((n, k)), rng.integers(0, 2, n)
    right = 0
    for row, target in zip(scores, targets, strict=True):
        for score in row:
            value = 1 / (1 + math.exp(-score)) if sigmoid else score
            right += (value > thresh) == bool(target)
    found = accuracy_thresh_expand(mt.tensor(scores), mt.tensor(targets), thresh, sigmoid)
    assert float(found) == pytest.approx(right / (n * k))


def test_accuracy_thresh_expand_at_its_defaults(backend):
    scores = mt.tensor([[2.0, -0.1, 0.3], [-1.0, -2.0, 0.4]])
    assert float(accuracy_thresh_expand(scores, mt.tensor([1, 0]))) == pytest.approx(4 / 6)
    assert float(accuracy_thresh_expand(scores, mt.tensor([[0], [1]]))) == pytest.approx(2 / 6)


# ---------------------------------------------------------------------------- the two of one game


def lopsided(output, target):
    """A loss that is not symmetric: mean of output² · target."""
    return (output * output * target).mean()


def test_losses_from_functions_by_hand(backend):
    fake, real = mt.randn(3, 4), mt.randn(3, 4)
    output, target = mt.randn(3, 1, 2, 2), mt.randn(3, 1, 2, 2)
    crit = AdaptiveLoss(nn.BCEWithLogitsLoss())
    for weights, (w0, w1) in ((None, (1, 1)), ((1, 50), (1, 50)), ([0.5, 2.0], (0.5, 2.0))):
        generator_loss, critic_loss = gan_loss_from_func(lopsided, crit, weights)
        pixels = (host(output) ** 2 * host(target)).mean()  # output and target not swapped
        expected = w0 * mean_bce(host(fake), [1, 1, 1]) + w1 * pixels
        assert generator_loss(fake, target, output).item() == pytest.approx(expected, rel=1e-5)
        ones, zeros = mean_bce(host(real), [1, 1, 1]), mean_bce(host(fake), [0, 0, 0])
        assert critic_loss(real, fake).item() == pytest.approx((ones + zeros) / 2, rel=1e-5)


def test_gradients_of_losses_from_functions():
    crit = AdaptiveLoss(nn.BCEWithLogitsLoss())
    generator_loss, critic_loss = gan_loss_from_func(lopsided, crit, (2, 3))
    target = random(2, 3, seed=5)
    gradcheck(
        lambda p, o: generator_loss(p, target, o),
        [random(2, 4, grad=True), random(2, 3, grad=True)],
    )
    gradcheck(critic_loss, [random(2, 4, grad=True), random(2, 4, grad=True, seed=1)])


def test_real_is_one_and_fake_is_zero():
    """A critic that is right loses little, and the generator of fakes found out loses much."""
    generator_loss, critic_loss = gan_loss_from_func(
        nn.MSELoss(), AdaptiveLoss(nn.BCEWithLogitsLoss())
    )
    high, low, picture = mt.full((2, 3), 9.0), mt.full((2, 3), -9.0), mt.zeros(2, 1)
    assert critic_loss(high, low).item() < 1e-3 < 8 < critic_loss(low, high).item()
    assert generator_loss(high, picture, picture).item() < 1e-3
    assert generator_loss(low, picture, picture).item() > 8


@pytest.mark.parametrize(
    "weights", [5, (1,), (1, 2, 3), "ab", (1, None), (-1, 5), (0, 0), (math.nan, 1), (1, math.inf)]
)
def test_wrong_weights(weights):
    with pytest.raises(ValueError, match="weights_gen must be two numbers of at least 0"):
        gan_loss_from_func(nn.MSELoss(), nn.MSELoss(), weights)


def test_losses_must_be_functions():
    with pytest.raises(TypeError, match="gan_loss_from_func: loss_gen must be a loss.*got None"):
        gan_loss_from_func(None, nn.MSELoss())
    with pytest.raises(TypeError, match="gan_loss_from_func: loss_crit must be a loss.*got 3"):
        gan_loss_from_func(nn.MSELoss(), 3)


# ------------------------------------------------------------------------------------------- WGAN


def test_wasserstein_and_noop_by_hand(backend):
    real, fake = mt.tensor([[1.0, 2.0], [6.0, 3.0]]), mt.tensor([[4.0, -1.0]])
    assert WassersteinLoss()(real, fake).item() == pytest.approx(3.0 - 1.5)
    assert NoopLoss()(real, fake, "anything").item() == pytest.approx(3.0)
    assert WassersteinLoss()(mt.tensor([2.0]), mt.tensor([5.0])).shape == ()


def test_gradients_of_wasserstein_and_noop():
    gradcheck(WassersteinLoss(), [random(2, 3, grad=True), random(4, 3, grad=True, seed=1)])
    gradcheck(NoopLoss(), random(2, 3, grad=True))


# --------------------------------------------------------------------------------- gradient penalty


class Quadratic(nn.Module):
    """C(x) = Σ a·x²/2 for one picture, whose slope is a·x."""

    def __init__(self, a, mean):
        self.a, self.mean = nn.Parameter(mt.tensor(a)), mean

    def forward(self, x):
        scores = (self.a * x * x / 2).reshape(len(x), -1).sum(1)
        return scores.mean().reshape(1) if self.mean else scores


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 4),
    shape=st.sampled_from([(3,), (2, 3), (1, 2, 2)]),
    mean=st.booleans(),
    weight=st.floats(0.5, 20),
)
def test_penalty_by_hand(n, shape, mean, weight):
    """The slope of a·x²/2 is a·x; a critic that means over the batch is penalised alike."""
    rng = np.random.default_rng(n)
    a, real, fake = (rng.standard_normal(s) for s in (shape, (n, *shape), (n, *shape)))
    mt.manual_seed(7)
    eps = mt.rand(n, dtype=np.float64)  # the same draws
    expected = 0.0
    for e, x, y in zip(host(eps), real, fake, strict=True):
        slope = a * (e * x + (1 - e) * y)
        expected += weight * (math.sqrt((slope * slope).sum()) - 1) ** 2 / n
    mt.manual_seed(7)
    critic = Quadratic(a, mean)
    found = gradient_penalty(critic, mt.tensor(real), mt.tensor(fake), weight)
    assert found.shape == () and found.item() == pytest.approx(expected)


def fixed(function):
    """The function with the same draws in every call."""

    def called(*arguments):
        mt.manual_seed(3)
        return function(*arguments)

    return called


def test_gradient_of_the_penalty_for_the_critics_weights():
    """Second order: how the slope at the pictures changes with the weights."""
    real, fake = random(3, 2, 2), random(3, 2, 2, seed=1)
    critic = Quadratic(np.random.default_rng(2).standard_normal((2, 2)), mean=True)
    penalty = fixed(lambda *weights: gradient_penalty(critic, real, fake))
    gradcheck(penalty, list(critic.parameters()))
    penalty().backward()
    assert np.abs(host(critic.a.grad)).min() > 1e-3


def all_but_few(parameters):
    """Large weights take long to check element by element."""
    return [p for p in parameters if p.numel() <= 40]


def test_gradient_of_the_penalty_through_the_lessons_critics():
    mt.manual_seed(1)
    for critic, side in (
        (basic_critic(8, 1, 2, norm_type=None), 8),
        (gan_critic(1, nf=2, n_blocks=1, p=0.0), 16),
    ):
        critic.double().eval()
        real, fake = random(2, 1, side, side), random(2, 1, side, side, seed=1)
        penalty = fixed(lambda *weights, c=critic, r=real, f=fake: gradient_penalty(c, r, f))
        checked = all_but_few(critic.parameters())
        assert len(checked) >= 2
        gradcheck(penalty, checked, rtol=1e-4, atol=1e-6)


def test_penalty_leaves_the_pictures_alone(backend):
    critic = Quadratic(np.ones((2, 2), np.float32), mean=False)
    real, fake = mt.randn(3, 2, 2, requires_grad=True), mt.randn(3, 2, 2, requires_grad=True)
    penalty = gradient_penalty(critic, real, fake)
    penalty.backward()
    assert real.grad is None and fake.grad is None and critic.a.grad is not None
    assert penalty.dtype == np.float32 and penalty.backend == backend


def test_penalty_is_zero_at_slope_one_and_finite_at_slope_zero():
    real, fake = random(4, 3), random(4, 3, seed=1)
    unit = mt.tensor(np.array([0.6, 0.0, -0.8]))
    assert gradient_penalty(lambda x: (x * unit).sum(1), real, fake).item() < 1e-20
    flat = nn.Parameter(mt.tensor(np.zeros(3)))
    penalty = gradient_penalty(lambda x: (x * flat).sum(1), real, fake)
    penalty.backward()
    assert penalty.item() == pytest.approx(10.0, rel=1e-5)
    assert np.isfinite(host(flat.grad)).all()


def test_penalty_is_taken_between_the_pictures():
    """With one picture of 0 and one of 1, the points are ε itself: spread over [0, 1)."""
    seen = []

    def critic(x):
        seen.append(host(x).copy())
        return x.sum((1, 2))

    mt.manual_seed(0)
    gradient_penalty(critic, mt.ones(200, 2, 2), mt.zeros(200, 2, 2))
    (points,) = seen
    eps = points[:, 0, 0]
    assert (points == eps[:, None, None]).all()  # one number for a whole picture
    assert 0 <= eps.min() < 0.05 < 0.95 < eps.max() < 1 and len(set(eps.tolist())) > 190


def test_pictures_of_two_shapes():
    with pytest.raises(ValueError, match=r"real batch is \(2, 3\) and the generated one \(2, 4\)"):
        gradient_penalty(lambda x: x.sum(1), mt.zeros(2, 3), mt.zeros(2, 4))


@pytest.mark.parametrize(
    ("real", "fake", "weight", "message"),
    [
        (None, mt.zeros(2, 3), 10, "real must be a Tensor, got NoneType"),
        (mt.zeros(2, 3), np.zeros((2, 3)), 10, "fake must be a Tensor, got ndarray"),
        (mt.tensor([[1]]), mt.tensor([[1]]), 10, "real must be floating point"),
        (mt.zeros(0, 3), mt.zeros(0, 3), 10, r"at least one, got shape \(0, 3\)"),
        (mt.tensor(1.0), mt.tensor(1.0), 10, r"at least one, got shape \(\)"),
        (mt.zeros(2, 3), mt.zeros(2, 3), -3, "weight must be a number above 0, got -3"),
        (mt.zeros(2, 3), mt.zeros(2, 3), math.nan, "weight must be a number above 0, got nan"),
        (mt.zeros(2, 3), mt.zeros(2, 3), "a", "weight must be a number above 0, got 'a'"),
    ],
)
def test_penalties_that_cannot_be_taken(real, fake, weight, message):
    with pytest.raises((TypeError, ValueError), match=f"gradient_penalty: .*{message}"):
        gradient_penalty(lambda x: x.sum(1), real, fake, weight)
