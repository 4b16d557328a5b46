"""How far back gradients reach: by finite differences, and where the answer is known."""

import numpy as np
import pytest
import standin

import minitorch7 as mt
from minitorch7 import backend, nn
from minitorch7.text.models import Model0, Model1, Model2, Model3, Model4, Model5, RecurrentModel
from minitorch7.text.reach import gradient_reach

MODELS = {
    "model 0": lambda: Model0(7, 5),
    "model 1": lambda: Model1(7, 5),
    "model 2": lambda: Model2(7, 5),
    "model 3": lambda: Model3(7, 5, 4),
    "model 4": lambda: Model4(7, 5, 4),
    "model 5": lambda: Model5(7, 5, 4),
    "lstm": lambda: RecurrentModel("lstm", 7, 5, 4, layers=2),
}


def host(t):
    return backend.to_numpy(t.data)


def words(bs, time, seed=0):
    return mt.tensor(np.random.default_rng(seed).integers(0, 7, (bs, time)))


def losses(model, x, y, embedded):
    """−ln p of the word after the last, of each text, with the embedded words given (bs, T, nh)."""
    at = [0]

    def put(module, inputs, output):
        if output.ndim == 3:
            return mt.tensor(embedded)
        at[0] += 1
        return mt.tensor(embedded[:, at[0] - 1])

    with model.i_h.register_forward_hook(put), mt.no_grad():
        scores = host(model(x))
    scores = scores[:, -1] if scores.ndim == 3 else scores
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y])


@pytest.mark.parametrize("name", MODELS)
def test_by_finite_differences(name):
    model, eps = MODELS[name]().double(), 1e-6
    rng = np.random.default_rng(3)
    for p in model.parameters():
        p.copy_(mt.tensor(rng.normal(0, 0.5, p.shape)))
    x, y = words(3, 3), words(3, 3, seed=1)
    found = gradient_reach(model, x, y)
    model.eval()
    start = host(model.i_h(x)).copy()
    gradient = np.zeros_like(start)
    for place in np.ndindex(start.shape):
        sides = []
        for step in (eps, -eps):
            if hasattr(model, "reset"):
                model.reset(3)
            moved = start.copy()
            moved[place] += step
            sides.append(losses(model, x, host(y)[:, -1], moved)[place[0]])
        gradient[place] = (sides[0] - sides[1]) / (2 * eps)
    norms = np.sqrt((gradient**2).sum(2)).mean(0)
    assert norms.min() > 1e-9
    np.testing.assert_allclose(found, norms[::-1], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(gradient_reach(model, x, y[:, -1]), found)


def test_a_known_rate_of_vanishing():
    """A linear state that halves at each step: the gradient halves with each step back."""
    model = Model2(7, 4).double()
    for p, value in ((model.h_h.weight, 0.5 * np.eye(4)), (model.h_h.bias, np.zeros(4))):
        p.copy_(mt.tensor(value))
    # above zero, so that ReLU lets them pass
    model.i_h.weight.copy_(mt.tensor(np.random.default_rng(0).uniform(0.5, 1, (7, 4))))
    reach = gradient_reach(model, words(5, 8))
    np.testing.assert_allclose(reach / reach[0], 0.5 ** np.arange(8), rtol=1e-12)


def test_by_default_the_likeliest_words_are_the_targets():
    model, x = Model4(7, 5, 3).double(), words(3, 6)
    with mt.no_grad():
        likeliest = model.eval()(x).argmax(2)
    model.train().reset()
    np.testing.assert_array_equal(gradient_reach(model, x), gradient_reach(model, x, likeliest))


def test_the_model_is_left_as_it_was():
    model = Model5(7, 5, 4)
    model(words(4, 3))
    before = {name: host(value).tobytes() for name, value in model.state_dict().items()}
    reach = gradient_reach(model, words(9, 6))
    assert reach.shape == (6,) and reach.dtype == np.float64 and np.isfinite(reach).all()
    assert {name: host(value).tobytes() for name, value in model.state_dict().items()} == before
    assert model.training and all(p.grad is None for p in model.parameters())
    assert not model.i_h._forward_hooks


def test_on_a_device_too():
    model, x = Model4(7, 5, 4), words(4, 6)
    reach = gradient_reach(model, x)
    with standin.installed():
        found = gradient_reach(model.to("cupy"), x.to("cupy"))
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, reach, rtol=1e-4)


def test_what_is_refused():
    model = Model4(7, 5, 4)
    with pytest.raises(TypeError, match="gradient_reach: Linear has no layer i_h"):
        gradient_reach(nn.Linear(2, 2), words(4, 3))
    with pytest.raises(ValueError, match=r"y must be \(4, 3\) or \(4,\) .*got \(4, 2\)"):
        gradient_reach(model, words(4, 3), words(4, 2))
    with pytest.raises(TypeError, match="x must be a Tensor"):
        gradient_reach(model, [[1]])

    class Twice(Model2):
        def forward(self, x):
            return super().forward(x) + super().forward(x)

    with pytest.raises(
        ValueError, match=r"embedded \(4, 6\) words of \(4, 3\); it must embed each"
    ):
        gradient_reach(Twice(7, 5), words(4, 3))
