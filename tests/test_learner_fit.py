"""The loop: its events, the one-cycle policy, the finder, what callbacks can do to it."""

import numpy as np
import pytest
import standin
from test_learner_toy import ToyData, same_bits, toy_learner, toy_model, weights_of

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7.learner import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    Learner,
    accuracy,
    error_rate,
)
from minitorch7.learner.callbacks import EVENTS


class Listener(Callback):
    """Writes down every event."""

    def __init__(self):
        self.heard = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            training = "" if self.learn.training else " (valid)"
            return lambda: self.heard.append(name[3:] + training)
        return super().__getattribute__(name)


class At(Callback):
    """Calls a function of the learner at one event."""

    def __init__(self, event, function, order=0):
        setattr(self, f"on_{event}", lambda: function(self.learn))
        self.order = order


def raising(exception, when=lambda learn: True):
    def function(learn):
        if when(learn):
            raise exception

    return function


# --------------------------------------------------------------------------------------- the events


def test_events_come_in_their_order():
    listener = Listener()
    learn = toy_learner(data=ToyData(n_train=20, n_valid=10), callbacks=[listener])
    learn.fit(1, 1e-3)
    batch = list(EVENTS[2:8])
    valid = ["batch_begin (valid)", "loss_begin (valid)", "batch_end (valid)"]
    assert listener.heard[1:-2] == ["epoch_begin", *batch, *batch, *valid]
    assert listener.heard[0].startswith("train_begin")
    assert [name.split()[0] for name in listener.heard[-2:]] == ["epoch_end", "train_end"]


def test_callbacks_run_by_order_then_by_place():
    heard = []
    learn = toy_learner(data=ToyData(n_train=10, valid=False))
    calls = [
        At("train_begin", lambda _, i=i: heard.append(i), order)
        for i, order in enumerate([5, -20, 0, 0])
    ]
    learn.fit(1, 1e-3, callbacks=calls)
    assert heard == [1, 2, 3, 0]


def test_a_class_or_a_function_is_no_callback():
    with pytest.raises(TypeError, match="got the class Listener; make one"):
        toy_learner(callbacks=[Listener])
    with pytest.raises(TypeError, match="is not a Callback"):
        toy_learner().fit(1, callbacks=[print])


def test_callbacks_see_and_replace_the_batch():
    seen = []

    def double(learn):
        learn.xb = learn.xb * 2
        seen.append(learn.xb.numpy().copy())

    learn = toy_learner(data=ToyData(n_train=10, valid=False))
    learn.fit(1, 1e-3, callbacks=[At("batch_begin", double)])
    expected = 2 * next(learn.data.train_dl.batches(0))[0].numpy()
    np.testing.assert_array_equal(seen[0], expected)
    np.testing.assert_array_equal(learn.xb.numpy(), expected)


def test_cancel_batch_in_backward_end_adds_gradients_up():
    learn = toy_learner(data=ToyData(n_train=40, valid=False))
    odd = raising(CancelBatch, lambda learn: learn.batch % 2 == 0)
    learn.fit(1, 1e-3, callbacks=[At("backward_end", odd)])
    state = next(iter(learn.opt.state.values()))
    assert state["step"] == 2 and learn.done == 4


def test_cancel_epoch_goes_on_with_validation():
    learn = toy_learner()
    learn.fit(2, 1e-3, callbacks=[At("batch_end", raising(CancelEpoch, third_batch_is_next))])
    assert learn.done == 4
    assert [row["epoch"] for row in learn.recorder.rows] == [0, 1]
    assert len(learn.recorder.val_losses) == 2


def test_cancel_epoch_in_epoch_begin_skips_all_its_batches():
    learn = toy_learner()
    learn.fit(2, 1e-3, callbacks=[At("epoch_begin", raising(CancelEpoch, lambda x: x.epoch == 0))])
    assert learn.done == 6 and len(learn.recorder.rows) == 2


def third_batch_is_next(learn):
    return learn.training and learn.batch == 2


def test_cancel_fit_ends_training():
    learn = toy_learner()
    ended = []
    stop = At("epoch_end", raising(CancelFit, lambda learn: learn.epoch == 1))
    learn.fit(9, 1e-3, callbacks=[stop, At("train_end", ended.append)])
    assert len(learn.recorder.rows) == 2 and ended == [learn] and learn.cancelled


def test_train_end_comes_after_an_error_too():
    ended = []
    learn = toy_learner()
    bad = At("loss_begin", raising(ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        learn.fit(1, 1e-3, callbacks=[bad, At("train_end", ended.append)])
    assert ended == [learn] and learn.running == []


def test_a_callback_may_validate_in_the_middle_of_training():
    found = []
    learn = toy_learner()
    learn.fit(1, 1e-3, callbacks=[At("step_end", lambda learn: found.append(learn.validate()))])
    assert len(found) == learn.done == len(learn.recorder.losses) == 6
    assert learn.validate() == found[-1]


def test_steps_can_be_overridden():
    class Doubled(Learner):
        def get_loss(self):
            return super().get_loss() * 2

    first = []
    for kind in (Learner, Doubled):
        learn = kind(ToyData(), toy_model(), progress=False)
        learn.fit(1, 1e-3)
        first.append(learn.recorder.raw_losses[0])
    assert first[1] == pytest.approx(2 * first[0])


# ----------------------------------------------------------------------------------------- training


def test_training_learns():
    learn = toy_learner()
    learn.fit_one_cycle(4, 0.1)
    assert learn.validate()[1] == 1.0


def test_one_cycle_check_vector():
    learn = toy_learner(data=ToyData(n_train=100, valid=False))  # 10 batches of 10
    learn.fit_one_cycle(1, 0.1)
    lrs = [0.004, 0.028, 0.076, 0.1, 0.095048463, 0.081174565, 0.061126202, 0.038874198]
    lrs += [0.018825835, 0.0049519368]
    moms = [0.95, 0.925, 0.875, 0.85, 0.854952, 0.868826, 0.888874, 0.911126, 0.931174, 0.945048]
    np.testing.assert_allclose(learn.recorder.lrs, lrs, rtol=1e-7)
    np.testing.assert_allclose(learn.recorder.moms, moms, atol=5e-7)
    group = learn.opt.param_groups[0]
    assert group["lr"] == pytest.approx(4e-7) and group["betas"] == (0.95, 0.99)


def test_one_cycle_scales_groups_together():
    learn = toy_learner(data=ToyData(n_train=100, valid=False))
    learn.split([learn.model[5]])
    first = []
    note = At("batch_begin", lambda x: first.append([g["lr"] for g in x.opt.param_groups]))
    learn.fit_one_cycle(1, slice(1e-3, 1e-1), callbacks=[note])
    np.testing.assert_allclose(np.divide(*np.transpose(first)), 0.01, rtol=1e-9)


def test_fit_keeps_the_rate_constant_and_the_optimiser():
    learn = toy_learner()
    learn.fit(1, 1e-3)
    opt = learn.opt
    learn.fit(1, 1e-4, wd=0.3)
    assert learn.opt is opt and learn.opt.param_groups[0]["weight_decay"] == 0.3
    assert learn.recorder.lrs == [1e-4] * 6
    assert next(iter(opt.state.values()))["step"] == 12


def test_no_shuffle_comes_twice():
    learn = toy_learner(data=ToyData(n_train=20, valid=False))
    orders = []
    note = At("batch_begin", lambda learn: orders.append(learn.xb.numpy().tobytes()))
    learn.fit(2, 1e-3, callbacks=[note])
    learn.fit(2, 1e-3, callbacks=[note])
    assert len(set(orders)) == len(orders) == 8


def test_two_runs_give_the_same_bits():
    runs = []
    for _ in range(2):
        learn = toy_learner()
        learn.fit_one_cycle(2, 0.1)
        runs.append(weights_of(learn))
    assert same_bits(*runs)


def test_modes_are_as_before():
    learn = toy_learner()
    learn.model[4].eval()
    modes = [m.training for m in learn.model.modules()]
    learn.fit(1, 1e-3)
    learn.validate()
    assert [m.training for m in learn.model.modules()] == modes


def test_data_can_be_exchanged():
    learn = toy_learner()
    learn.fit(1, 1e-3)
    learn.data = ToyData(n_train=30, batch_size=5)
    learn.fit(1, 1e-3)
    assert len(learn.recorder.losses) == 6


def test_validation_weighs_batches_by_size():
    learn = toy_learner(metrics=[accuracy, error_rate])  # 25 items: batches of 10, 10 and 5
    x, y = mt.tensor(learn.data.valid_dl.x), mt.tensor(learn.data.valid_dl.y)
    with mt.no_grad():
        learn.model.eval()
        pred = learn.model(x)
    expected = [float(F.cross_entropy(pred, y)), float(accuracy(pred, y))]
    loss, right, wrong = learn.validate()
    np.testing.assert_allclose([loss, right], expected, rtol=1e-6)
    assert right + wrong == pytest.approx(1)


# ------------------------------------------------------------------------------------------- errors


def test_what_must_be_there_to_train():
    data = ToyData()
    data.loss_func = None
    with pytest.raises(ValueError, match="there is no loss"):
        toy_learner(data=data).fit(1)
    with pytest.raises(ValueError, match="no batches.*batch size may be larger"):
        toy_learner(data=ToyData(batch_size=100)).fit(1)
    with pytest.raises(ValueError, match="epochs must be an integer of at least 1, got 0"):
        toy_learner().fit(0)
    learn = toy_learner()
    learn.model.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter requires a gradient"):
        learn.fit(1)


# ------------------------------------------------------------------------------------------ lr_find


def test_lr_find_leaves_no_trace(capsys):
    ends = []
    for search in (False, True):
        learn = toy_learner()
        before = weights_of(learn)
        if search:
            learn.lr_find(num_it=30)
            assert "LR Finder is complete" in capsys.readouterr().out
        assert same_bits(weights_of(learn), before)
        learn.fit_one_cycle(2, 0.1)
        ends.append(weights_of(learn))
    assert same_bits(*ends)


def test_lr_find_after_training_restores_the_optimiser():
    learn = toy_learner()
    learn.fit(1, 1e-3)
    learn.lr_find(num_it=5)
    kept = next(iter(learn.opt.state.values()))
    assert kept["step"] == 6 and learn.opt.param_groups[0]["lr"] == 1e-3


def test_lr_find_rates_are_exponential_and_counted():
    learn = toy_learner()
    learn.lr_find(1e-5, 1e-1, num_it=20, stop_div=False)
    np.testing.assert_allclose(learn.recorder.lrs, 1e-5 * 1e4 ** (np.arange(20) / 20), rtol=1e-9)


def test_lr_find_stops_where_the_loss_explodes():
    learn = toy_learner()
    learn.lr_find(1e-3, 1e3, num_it=500)
    losses = np.array(learn.recorder.losses)
    assert len(losses) < 500
    exploded = losses > 4 * np.minimum.accumulate(losses)
    assert exploded[-1] and not exploded[:-1].any()


def test_lr_find_restores_after_an_error():
    learn = toy_learner()
    before = weights_of(learn)
    learn.callbacks.append(At("batch_end", raising(ZeroDivisionError, lambda x: x.batch == 3)))
    with pytest.raises(ZeroDivisionError):
        learn.lr_find()
    assert same_bits(weights_of(learn), before)


def test_lr_find_survives_nan():
    learn = toy_learner()
    learn.callbacks.append(At("backward_begin", poison, order=-20))
    learn.lr_find()
    assert np.isnan(learn.recorder.losses[-1]) and len(learn.recorder.losses) == 4


def poison(learn):
    if learn.batch == 3:
        learn.loss = learn.loss * float("nan")


@pytest.mark.parametrize("arguments", [(1.0, 0.1), (0.0, 1.0), (1e-3, 1.0, 1)])
def test_lr_find_refuses(arguments):
    with pytest.raises(ValueError, match="lr_find: needs 0 < start_lr < end_lr"):
        toy_learner().lr_find(*arguments)


# -------------------------------------------------------------------------------------- on a device


def test_no_training_step_waits_for_the_device():
    """On the CuPy stand-in, between two readings of the losses nothing is asked of the host."""
    with standin.installed(), mt.using("cupy"):
        learn = toy_learner(data=ToyData(n_train=200), read_every=8)
        waits = []

        class Counting(Callback):
            order = -100

            def on_batch_begin(self):
                if self.learn.training and self.learn.batch:
                    waits.append(self.count.syncs)
                self.count = standin.Count()

        learn.fit_one_cycle(1, 0.1, callbacks=[Counting()])
    assert len(waits) == 19
    assert [i for i, n in enumerate(waits) if n] == [7, 15]
    assert len(learn.recorder.losses) == 20


def test_the_device_gives_the_same_training_as_the_host():
    ends = []
    with standin.installed():
        for backend in ("numpy", "cupy"):
            with mt.using(backend):
                learn = toy_learner()
                learn.fit_one_cycle(2, 0.1)
                ends.append(learn.recorder.raw_losses)
    # losses and not weights: the convolution's bias, which batch norm takes out again, has rounding
    # errors for a gradient, and Adam makes full steps of them
    np.testing.assert_allclose(*ends, rtol=1e-4)
