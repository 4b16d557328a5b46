"""A loss that is no number stops training and names the layer."""

import numpy as np
import pytest
import standin
from test_learner_toy import ToyData, same_bits, toy_learner, weights_of

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.learner import Callback, Learner, NonFiniteLoss


class Fragile(nn.Module):
    """Takes the logarithm of its input, which becomes negative when `broken`."""

    broken = False

    def forward(self, x):
        return F.log(-(x * x) if self.broken else x * x + 1)


def fragile_learner(path="."):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Sequential(Fragile()), nn.Linear(8, 3))
    return Learner(ToyData(), model, path=path, progress=False, read_every=1)


class Break(Callback):
    """Breaks the fragile layer before one batch."""

    order = -50

    def __init__(self, epoch, batch):
        self.at = (epoch, batch)

    def on_batch_begin(self):
        if self.learn.training and (self.learn.epoch, self.learn.batch) == self.at:
            self.learn.model[2][0].broken = True
            self.weights = weights_of(self.learn)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_layer_is_named_and_the_weights_are_those_of_the_last_good_batch():
    learn, broken = fragile_learner(), Break(1, 2)
    with pytest.raises(NonFiniteLoss) as caught:
        learn.fit(3, 1e-3, callbacks=[broken])
    text = str(caught.value)
    assert "the training loss became nan in epoch 1, batch 2 (learning rate 0.001" in text
    assert "Log: output" in text and "'2.0' (Fragile()) of Sequential" in text
    assert "learn.lr_find()" in text
    assert isinstance(caught.value, FloatingPointError)
    assert same_bits(weights_of(learn), broken.weights)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_no_checkpoint_is_written_over(tmp_path):
    learn = fragile_learner(tmp_path)
    options = {"checkpoint": "x", "checkpoint_every": 1}
    with pytest.raises(NonFiniteLoss):
        learn.fit(2, 1e-3, callbacks=[Break(1, 0)], **options)
    kept = fragile_learner(tmp_path).load("x")
    assert all(np.isfinite(value).all() for value in weights_of(kept).values())
    kept.fit(2, 1e-3, **options)  # and it can be gone on from
    assert len(kept.recorder.rows) == 2


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_gradients_that_overflow_are_told_from_bad_layers(tmp_path):
    class Overflow(Callback):
        def on_backward_end(self):
            if self.learn.batch == 2:
                self.learn.model[1].weight.grad.data[:] = np.inf

    learn = fragile_learner(tmp_path)
    with pytest.raises(NonFiniteLoss, match=r"first in '1.weight'.*its gradients were not"):
        learn.fit(1, 1e-3, callbacks=[Overflow()])
    with pytest.raises(FloatingPointError, match="weights hold NaN.*x.safetensors was not written"):
        fragile_learner(tmp_path).fit(
            1, 1e-3, callbacks=[Overflow()], checkpoint="x", checkpoint_every=1
        )


def test_bad_inputs_are_called_bad_inputs():
    data = ToyData()
    data.train_dl.x[17, 0, 1, 1] = np.nan
    with pytest.raises(NonFiniteLoss, match="inputs of the batch hold NaN or infinity already"):
        toy_learner(data=data, read_every=1).fit(1, 1e-3)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_rate_that_is_too_high_ends_in_this_error():
    learn = fragile_learner()
    learn.opt_func = mt.optim.SGD
    with pytest.raises(NonFiniteLoss, match="Usual causes: a learning rate that is too high"):
        learn.fit(20, 1e9)


def test_on_a_device_the_loss_is_read_late():
    with standin.installed(), mt.using("cupy"):
        learn = fragile_learner()
        learn.read_every = 6
        with pytest.raises(NonFiniteLoss) as caught:
            learn.fit(2, 1e-3, callbacks=[Break(1, 2)])
        assert "in epoch 1, batch 2 (" in str(caught.value)
        assert "3 batches late. To see the layer, set learn.read_every = 1" in str(caught.value)
        learn = fragile_learner()
        learn.read_every = 1
        with pytest.raises(NonFiniteLoss, match="'2.0' .Fragile"):
            learn.fit(2, 1e-3, callbacks=[Break(1, 2)])
