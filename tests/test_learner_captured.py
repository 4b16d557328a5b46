"""`fit(capture=True)`: the same bits as without, on the stand-in's graphs, and what is refused."""

from functools import partial

import numpy as np
import pytest
import standin
from test_learner_toy import ToyData, ToyLoader, same_bits, toy_learner, weights_of

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim
from minitorch7.capture import CapturedStep, CaptureError, as_captured
from minitorch7.data import ItemLists, TextList
from minitorch7.learner import (
    Callback,
    CancelBatch,
    Learner,
    MixedPrecision,
    NonFiniteLoss,
    accuracy,
)
from minitorch7.text import LanguageLearner, human_numbers
from minitorch7.text.models import Model5
from minitorch7.vision import GANLearner, basic_critic, basic_generator

RULES = {
    "AdamW": None,
    "SGD": partial(optim.SGD, momentum=0.9),
    "SGD without momentum": optim.SGD,
}


class WholeLoader(ToyLoader):
    """With a smaller last batch, in training too."""

    def __len__(self):
        return -(-self.n // self.batch_size)


def data_with_a_rest(n_train=34):
    data = ToyData(n_train)
    old = data.train_dl
    data.train_dl = WholeLoader(old.x, old.y, old.batch_size, old.seed, shuffle=True)
    return data


def course(learn):
    """Everything that two runs of the same training must have in common, to the last bit."""
    mine = learn.recorder
    rows = [{**row, "time": 0} for row in mine.rows]
    memory = {
        f"{number} {name}": mt.backend.to_numpy(v.data) if isinstance(v, mt.Tensor) else np.array(v)
        for number, kept in learn.opt.state_dict()["state"].items()
        for name, v in kept.items()
    }
    kept = {**weights_of(learn), **memory}
    series = [mine.losses, mine.raw_losses, mine.lrs, mine.moms, rows]
    return kept, series, mt.backend.get_rng_state(), [c.state_dict() for c in learn.callbacks]


def assert_same(learn, other):
    mine, theirs = course(learn), course(other)
    assert same_bits(mine[0], theirs[0])
    assert mine[1:] == theirs[1:]


def both(make, train):
    """The learner trained without capture and with."""
    learners = []
    for capture in (False, True):
        learners.append(make())
        with as_captured(mt.backend.active()):  # products are rounded alike
            train(learners[-1], capture=capture)
    return learners


class Watching(Callback):
    """Notes what the fit's batches ran through, and how often the net ran in Python."""

    order = 50

    def __init__(self):
        self.steps, self.counts = set(), []

    def on_train_begin(self):
        self.learn.model.forward, self.calls = self.counted(self.learn.model.forward), 0

    def counted(self, forward):
        def call(x):
            self.calls += self.learn.training
            return forward(x)

        return call

    def on_batch_begin(self):
        self.before = self.calls

    def on_batch_end(self):
        if self.learn.training:
            self.steps.add(self.learn.captured._step)
            self.counts.append(self.calls - self.before)

    def on_train_end(self):
        del self.learn.model.forward


# ------------------------------------------------------------------- the same as without a graph


@pytest.mark.parametrize("rule", RULES)
def test_one_cycle_ends_with_the_same_bits(plain, dropout, rule):
    """Batch norm, dropout, weight decay, rates and momenta that change, losses read late."""

    def make():
        return toy_learner(opt_func=RULES[rule], wd=0.1, read_every=4)

    learn, captured = both(make, lambda learn, **how: learn.fit_one_cycle(4, 0.05, **how))
    assert_same(learn, captured)
    assert len(set(captured.recorder.raw_losses)) == 24 and captured.captured is None


def test_one_cycle_through_the_kernels(gpu):
    data = ToyData(n_train=20, n_valid=10)
    learn, captured = both(
        lambda: toy_learner(data=data), lambda learn, **how: learn.fit_one_cycle(2, 0.05, **how)
    )
    assert_same(learn, captured)


def test_only_the_first_batch_runs_in_python_and_a_smaller_one(plain, dropout):
    make = partial(toy_learner, data=data_with_a_rest())
    watching = Watching()
    learn, captured = both(
        make,
        lambda learn, capture: learn.fit_one_cycle(
            3, 0.05, capture=capture, callbacks=[watching] if capture else []
        ),
    )
    assert_same(learn, captured)
    assert watching.counts == [4, 0, 0, 1] + [0, 0, 0, 1] * 2  # three to warm up, one to record
    (step,) = watching.steps
    assert isinstance(step, CapturedStep) and step.like[0][0] == (10, 1, 4, 4)


def test_a_fit_after_another_and_frozen_groups(plain, dropout):
    def make():
        learn = toy_learner(opt_func=RULES["SGD"])
        return learn.split([learn.model[5]])

    def train(learn, capture):
        learn.freeze()
        learn.fit(1, 0.05, capture=capture)
        learn.unfreeze()
        learn.fit_one_cycle(2, slice(1e-3, 0.05), capture=capture)

    assert_same(*both(make, train))


def test_numpy_runs_the_step_as_it_is():
    with mt.using("numpy"):
        assert_same(*both(toy_learner, lambda learn, **how: learn.fit_one_cycle(2, 0.05, **how)))


def test_a_state_goes_on_through_validation(plain):
    """A recurrent model leaves its state elsewhere after each validation; the graph finds it."""
    train, valid = human_numbers()
    lists = ItemLists(".", TextList(train[:60]), TextList(valid[:30])).label_for_lm()
    data = lists.databunch(bs=4, bptt=6)

    def make():
        mt.manual_seed(0)
        return LanguageLearner(data, Model5(len(data.vocab), 8, 4), progress=False)

    learn, captured = both(make, lambda learn, **how: learn.fit_one_cycle(3, 0.01, **how))
    assert_same(learn, captured)


# --------------------------------------------------------------------------------- taken up again


class Dies(Exception):
    """Stands for the death of the process."""


class DiesAt(Callback):
    def __init__(self, done):
        self.done = done

    def on_batch_begin(self):
        if self.learn.training and self.learn.done == self.done:
            raise Dies


@pytest.mark.parametrize("done", [2, 3, 6])
@pytest.mark.parametrize("half", [False, True])
def test_a_killed_run_ends_with_the_same_bits(plain, dropout, tmp_path, done, half):
    """Taken up again before the first batch of an epoch, and before its last, a smaller one."""

    def fit(folder, capture, *callbacks):
        own = [MixedPrecision(optim.GradScaler(2.0**22, growth_interval=3))] if half else []
        learn = toy_learner(tmp_path / folder, data_with_a_rest(), callbacks=own)
        learn.fit_one_cycle(
            3, 0.1, callbacks=callbacks, checkpoint="toy", checkpoint_every=1, capture=capture
        )
        return learn

    with as_captured():
        plainly = fit("plainly", False)
    whole = fit("whole", True)
    assert_same(plainly, whole)
    with pytest.raises(Dies):
        fit("killed", True, DiesAt(done))
    assert_same(whole, fit("killed", True))


def test_a_fit_that_begins_with_a_small_batch_records_a_full_one(plain, dropout, tmp_path):
    def fit(*callbacks):
        learn = toy_learner(tmp_path, data_with_a_rest())
        options = dict(checkpoint="toy", checkpoint_every=1, capture=True)
        learn.fit(2, 0.1, callbacks=callbacks, **options)

    with pytest.raises(Dies):
        fit(DiesAt(3))
    watching = Watching()
    fit(watching)
    sizes = {step.like[0][0][0] for step in watching.steps}
    assert sizes == {4, 10} and watching.counts == [4, 4, 0, 0, 1]


# ------------------------------------------------------------------------------- mixed precision


@pytest.mark.parametrize("rule", RULES)
def test_mixed_precision_decides_on_the_device(plain, dropout, rule):
    """Steps are left out, at first and when the scale has grown, in replays as well."""
    scales = []

    def make():
        scaler = optim.GradScaler(2.0**22, growth_interval=3)
        return toy_learner(opt_func=RULES[rule], callbacks=[MixedPrecision(scaler)])

    class Scale(Callback):
        def on_batch_end(self):
            if self.learn.training:
                scales[-1].append(self.learn.callbacks[0].scaler.get_scale())

    def train(learn, **how):
        scales.append([])
        learn.fit_one_cycle(4, 0.05, callbacks=[Scale()], **how)

    assert_same(*both(make, train))
    falls = sum(b < a for a, b in zip(scales[1], scales[1][1:], strict=False))
    assert scales[0] == scales[1] and falls > 1 and max(scales[1]) > min(scales[1])


def test_mixed_precision_through_the_kernels(gpu):
    data = ToyData(n_train=20, n_valid=10)
    make = partial(toy_learner, data=data, callbacks=[MixedPrecision()])
    assert_same(*both(make, lambda learn, **how: learn.fit_one_cycle(2, 0.05, **how)))


# ------------------------------------------------------------------------------ what a batch costs


@pytest.mark.parametrize("half", [False, True])
def test_a_batch_is_a_few_launches_and_waits_for_nothing(plain, dropout, half):
    counts = []
    for n in (50, 90):
        own = [MixedPrecision()] if half else []
        learn = toy_learner(data=ToyData(n, valid=False), read_every=1000, callbacks=own)
        with standin.count() as count:
            learn.fit_one_cycle(1, 0.05, capture=True)
        counts.append(count)
    few, many = counts
    assert many.syncs == few.syncs
    # x, y and the numbers into their places, the graph, a copy of the loss; later its reading
    assert (many.launches - few.launches) / 4 == 6
    assert (many.uploads - few.uploads) / 4 == 3  # x, y, and the numbers


# ------------------------------------------------------------------------------------- callbacks


class Clips(Callback):
    """Limits the gradients' norm: the same work on the device for every batch."""

    when_captured = "inside"

    def on_backward_end(self):
        optim.clip_grad_norm_(self.learn.model.parameters(), 0.05)


class Looks(Callback):
    when_captured = "after"

    def __init__(self):
        self.seen = []

    def on_loss_begin(self):
        if self.learn.training:
            self.seen.append(("pred", self.learn.pred.sum().item()))

    def on_backward_begin(self):
        self.seen.append(("loss", self.learn.loss.item()))


class Undeclared(Callback):
    def on_backward_end(self):
        """Acts amid the step."""

    def on_step_end(self):
        """And here."""


@pytest.mark.parametrize("where", ["numpy", "cupy"])
def test_a_callback_inside_is_recorded(plain, where, request):
    if where == "cupy":
        request.getfixturevalue("dropout")
    with mt.using(where):
        learn, captured = both(
            lambda: toy_learner(callbacks=[Clips()], opt_func=optim.SGD),
            lambda learn, **how: learn.fit_one_cycle(2, 0.5, **how),
        )
        assert_same(learn, captured)
        free = toy_learner(opt_func=optim.SGD)
        free.fit_one_cycle(2, 0.5, capture=True)
    assert not same_bits(weights_of(free), weights_of(captured))


def test_a_callback_after_sees_the_results(plain, dropout):
    looks = Looks(), Looks()
    ways = iter(looks)
    both(toy_learner, lambda learn, **how: learn.fit(2, 0.05, callbacks=[next(ways)], **how))
    assert looks[0].seen == looks[1].seen and len(looks[1].seen) == 24


@pytest.mark.parametrize("where", ["numpy", "cupy"])
def test_a_callback_that_says_nothing_is_refused(plain, where):
    with mt.using(where):
        learn = toy_learner(callbacks=[Undeclared()])
        before = weights_of(learn)
        with pytest.raises(
            CaptureError,
            match=r"Undeclared acts amid the step \(on_backward_end, on_step_end\).*'inside'",
        ):
            learn.fit(1, capture=True)
        assert same_bits(before, weights_of(learn)) and learn.running == []
        learn.fit(1)  # and without capture it is none of its business


def test_one_that_says_nonsense_is_refused(plain):
    Strange = type("Strange", (Callback,), {"when_captured": "before"})
    with pytest.raises(ValueError, match=r"Strange.when_captured must be .*got 'before'"):
        toy_learner(callbacks=[Strange()]).fit(1, capture=True)


def test_a_gan_is_refused_by_name(tmp_path):
    mt.manual_seed(0)
    data = ToyData()
    learn = GANLearner.wgan(data, basic_generator(8, 1, 4), basic_critic(8, 1, 8), path=tmp_path)
    with pytest.raises(CaptureError, match=r"GANTrainer acts amid the step \(on_backward_begin"):
        learn.fit(1, capture=True)


def test_a_batch_cancelled_inside_is_refused_and_outside_is_skipped(plain, dropout):
    class Cancels(Clips):
        def on_backward_end(self):
            raise CancelBatch

    with pytest.raises(CaptureError, match="raised CancelBatch inside the step"):
        toy_learner(callbacks=[Cancels()]).fit(1, capture=True)

    class Skips(Callback):
        def on_batch_begin(self):
            if self.learn.training and self.learn.done % 2:
                raise CancelBatch

    learn, captured = both(
        lambda: toy_learner(callbacks=[Skips()]), lambda learn, **how: learn.fit(2, 0.05, **how)
    )
    assert_same(learn, captured)
    assert len(captured.recorder.raw_losses) == 6


# ------------------------------------------------------------------------------- what goes wrong


def test_a_step_that_reads_values_says_where_it_was(plain):
    def reads(pred, target):
        return F.cross_entropy(pred, target) * float(pred.sum())

    with pytest.raises(CaptureError, match=r"\.item\(\)") as caught:
        toy_learner(loss_func=reads).fit(1, capture=True)
    assert "fit(capture=True) records" in caught.value.__notes__[0]


def test_a_loss_that_is_no_number_stops_the_fit(plain, dropout):
    learn = toy_learner(read_every=1, opt_func=optim.SGD)
    with pytest.raises(NonFiniteLoss, match=r"(?s)after the step, as capture=True does.*without"):
        learn.fit(3, 1e30, capture=True)


def test_the_step_is_let_go_after_an_error(plain, dropout):
    learn = toy_learner()
    with pytest.raises(Dies):
        learn.fit(2, callbacks=[DiesAt(3)], capture=True)
    assert learn.captured is None and learn.running == []


def test_metrics_and_validation_run_in_python(plain, dropout):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    learn = Learner(ToyData(), model, metrics=accuracy, progress=False)
    learn.fit(3, 0.05, capture=True)
    assert learn.validate() == [learn.recorder.rows[-1][k] for k in ("valid_loss", "accuracy")]
