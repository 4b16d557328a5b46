"""Training a generator and a critic in turn: who is trained when, with what, and what is told.

The toy below is pictures of 8×8 to be restored, or drawn from noise; an epoch takes milliseconds.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learner_toy import same_bits, weights_of

import minitorch7 as mt
from minitorch7 import nn, optim
from minitorch7.learner import Callback, CancelBatch, Learner
from minitorch7.vision.gan import GANLearner, GANLoss, GANModule, GANTrainer
from minitorch7.vision.gan_losses import (
    AdaptiveLoss,
    NoopLoss,
    WassersteinLoss,
    accuracy_thresh_expand,
    gradient_penalty,
)
from minitorch7.vision.gan_models import basic_critic, basic_generator
from minitorch7.vision.gan_switchers import (
    AdaptiveGANSwitcher,
    FixedGANSwitcher,
    GANDiscriminativeLR,
)

ADAM = partial(optim.AdamW, betas=(0.0, 0.99))


def host(t):
    return mt.backend.to_numpy(t.data)


# ----------------------------------------------------------------------------------------- the toy


class PictureLoader:
    """Batches (inputs, pictures (n, 1, 8, 8)); without pairs the inputs are noise (n, 3, 1, 1)."""

    batch_size = 4

    def __init__(self, n, seed, pairs):
        self.n, self.seed, self.pairs = n, seed, pairs
        rng = np.random.default_rng(seed)
        self.y = rng.uniform(-1, 1, (n * self.batch_size, 1, 8, 8)).astype(np.float32)
        self.x = (self.y * 0.5 + rng.normal(0, 0.3, self.y.shape)).astype(np.float32)

    def __len__(self):
        return self.n

    def batches(self, epoch, start=0):
        for i in range(start, self.n):
            rng = np.random.default_rng((self.seed, epoch, i))
            rows = rng.permutation(len(self.y))[: self.batch_size]
            noise = rng.standard_normal((self.batch_size, 3, 1, 1)).astype(np.float32)
            yield mt.tensor(self.x[rows] if self.pairs else noise), mt.tensor(self.y[rows])


class PictureData:
    """What a GANLearner asks of a DataBunch. The pictures are normalised to [−1, 1]."""

    loss_func = nn.MSELossFlat()

    def __init__(self, n_train=6, n_valid=2, pairs=True):
        self.train_dl = PictureLoader(n_train, 0, pairs)
        self.valid_dl = PictureLoader(n_valid, 1, pairs) if n_valid else None

    def one_batch(self):
        return next(self.train_dl.batches(0))

    def denorm_y(self, y):
        return y * 0.5 + 0.5


def toy_generator():
    """Restores pictures; batch norm and dropout so that modes and random draws matter."""
    return nn.Sequential(nn.conv_layer(1, 4), nn.Dropout2d(0.2), nn.Conv2d(4, 1, 3, padding=1))


def toy_critic():
    return nn.Sequential(
        nn.conv_layer(1, 4, 4, 2, leaky=0.2), nn.Dropout2d(0.2), nn.Conv2d(4, 1, 4), nn.Flatten()
    )


CRITIC_LOSS = AdaptiveLoss(nn.BCEWithLogitsLoss())


def toy_gan(path=".", data=None, callbacks=(), seed=0, **options):
    """A pretrained GAN as the lesson makes it, from two learners."""
    mt.manual_seed(seed)
    data = data or PictureData()
    learn_gen = Learner(data, toy_generator(), path=path)
    learn_crit = Learner(data, toy_critic(), CRITIC_LOSS)
    options = {"opt_func": ADAM, "progress": False, "weights_gen": (1, 5), **options}
    return GANLearner.from_learners(learn_gen, learn_crit, callbacks=callbacks, **options)


def toy_wgan(data=None, seed=0, norm_free=False, **options):
    mt.manual_seed(seed)
    data = data or PictureData(n_valid=0, pairs=False)
    critic = basic_critic(8, 1, 4, 1, **({"norm_type": None} if norm_free else {}))
    options = {"opt_func": ADAM, "progress": False, "switch_eval": False, "wd": 0.0, **options}
    return GANLearner.wgan(data, basic_generator(8, 1, 3, 4), critic, **options)


def network_weights(network):
    return {n: host(p).copy() for n, p in network.named_parameters()}


def changed(before, network):
    """Whether any, and whether all, of the parameters differ from what they were."""
    now = network_weights(network)
    differ = [not np.array_equal(before[name], now[name]) for name in before]
    return any(differ), all(differ)


class Watch(Callback):
    """Calls a function at one event, and collects what it answers to training batches."""

    def __init__(self, event, look, order=0, training=True):
        self.order, self.found = order, []
        setattr(self, f"on_{event}", self.act)
        self.look, self.only_training = look, training

    def act(self):
        if self.learn.training or not self.only_training:
            self.found.append(self.look(self.learn))


# --------------------------------------------------------------------------------- model and loss


def test_the_module_is_one_network_or_the_other():
    generator, critic = nn.Lambda(lambda x: x + 1), nn.Lambda(lambda x: x * 10)
    model = GANModule(generator, critic)
    x = mt.tensor([2.0])
    assert not model.gen_mode and model(x).tolist() == [20.0]
    model.switch()
    assert model.gen_mode and model(x).tolist() == [3.0]
    model.switch(True)
    assert model(x).tolist() == [3.0]
    model.switch(False)
    assert model(x).tolist() == [20.0]
    with model.generating():
        assert model(x).tolist() == [3.0]
    with pytest.raises(KeyError), model.generating():
        raise KeyError
    assert not model.gen_mode
    assert GANModule(generator, critic, gen_mode=True)(x).tolist() == [3.0]


def test_a_switch_of_the_loss_is_one_of_the_module():
    model = GANModule(nn.Lambda(abs), nn.Lambda(abs))
    loss = GANLoss(NoopLoss(), WassersteinLoss(), model)
    loss.switch()
    assert model.gen_mode and loss.gen_mode
    model.switch(False)
    assert not loss.gen_mode


def test_what_the_losses_are_given():
    seen = {}

    def note(name):
        def loss(*arguments):
            seen[name] = [host(a).tolist() for a in arguments]
            return arguments[0].sum()

        return loss

    model = GANModule(nn.Lambda(lambda x: x + 1), nn.Lambda(lambda x: x * 10))
    loss = GANLoss(note("generator"), note("critic"), model)
    picture, noise = mt.tensor([[5.0]]), mt.tensor([[2.0]])
    model.switch(True)
    assert loss(model(noise), picture).item() == 30
    assert seen["generator"] == [[[30.0]], [[5.0]], [[3.0]]]  # fake_pred, target, output
    model.switch(False)
    assert loss(model(picture), noise).item() == 50
    assert seen["critic"] == [[[50.0]], [[30.0]]]  # real_pred, fake_pred


def test_no_gradient_reaches_the_generator_in_critic_mode():
    model = GANModule(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    loss = GANLoss(NoopLoss(), WassersteinLoss(), model)
    x, y = mt.randn(2, 1, 3, 3), mt.randn(2, 1, 3, 3)
    loss(model(y), x).backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.critic.parameters())
    model.switch(True)
    model.critic.requires_grad_(False)
    model.zero_grad()
    loss(model(x), y).backward()  # through the critic, into the generator
    assert all(p.grad is None for p in model.critic.parameters())
    assert all(np.abs(host(p.grad)).max() > 0 for p in model.generator.parameters())


def test_a_penalty_is_added_in_critic_mode_only():
    model = GANModule(nn.Lambda(lambda x: x + 1), nn.Lambda(lambda x: x * 10))

    def penalty(critic, real, fake):
        assert critic is model.critic
        return real.sum() * 100 + fake.sum() * 1000

    loss = GANLoss(NoopLoss(), WassersteinLoss(), model, penalty)
    x, y = mt.tensor([[2.0]]), mt.tensor([[5.0]])
    assert loss(model(y), x, y).item() == (50 - 30) + 500 + 3000
    with pytest.raises(ValueError, match="pass the real ones too"):
        loss(model(y), x)
    model.switch(True)
    assert loss(model(x), y, x).item() == 30


# ------------------------------------------------------------------------------ one batch, one net


def test_critics_batches_have_the_pictures_as_inputs():
    data = PictureData()
    look = Watch("loss_begin", lambda learn: (host(learn.xb), host(learn.yb)))
    learn = toy_gan(data=data, callbacks=[look], switcher=FixedGANSwitcher(1, 1))
    learn.fit(1, 1e-3)
    assert learn.gan_trainer.log == ["critic", "generator"] * 3
    for i, (x, y) in enumerate(data.train_dl.batches(0)):
        first, second = look.found[i]
        expected = (x, y) if i % 2 else (y, x)
        assert np.array_equal(first, host(expected[0]))
        assert np.array_equal(second, host(expected[1]))


def test_each_batch_moves_one_network():
    def look(learn):
        nets = learn.model.generator, learn.model.critic
        now = [network_weights(net) for net in nets]
        grads = [[p.grad is not None for p in net.parameters()] for net in nets]
        return now, grads

    watch = Watch("step_end", look)
    learn = toy_gan(callbacks=[watch], switcher=FixedGANSwitcher(2, 1))
    before = [network_weights(net) for net in (learn.model.generator, learn.model.critic)]
    learn.fit(1, 1e-2)
    for trained, (now, grads) in zip(learn.gan_trainer.log, watch.found, strict=True):
        moves = trained == "critic"
        for net in (0, 1):
            same = same_bits(before[net], now[net])
            assert same == (net != moves)  # decay moves nothing of the other either
            assert set(grads[net]) == {net == moves}
        before = now


def test_the_gradient_passes_through_the_critic():
    """With the pixels' weight at 0 all that the generator learns comes through the critic."""
    learn = toy_gan(weights_gen=(1, 0), gen_first=True, wd=0.0, switcher=FixedGANSwitcher(1, 100))
    before = network_weights(learn.model.generator)
    learn.fit(1, 1e-2)
    assert learn.gan_trainer.log == ["generator"] * 6
    assert changed(before, learn.model.generator)[0]


def modes_of(learn):
    return [
        {m.training for m in net.modules()} for net in (learn.model.generator, learn.model.critic)
    ]


@pytest.mark.parametrize("switch_eval", [True, False])
def test_modes_of_the_networks(switch_eval):
    watch = Watch("loss_begin", modes_of)
    learn = toy_gan(callbacks=[watch], switch_eval=switch_eval, switcher=FixedGANSwitcher(4, 1))
    learn.fit(3, 1e-3)  # 6 batches an epoch: an epoch also begins within the critic's turn
    for trained, modes in zip(learn.gan_trainer.log, watch.found, strict=True):
        if switch_eval:
            assert modes == [{trained == "generator"}, {trained == "critic"}]
        else:
            assert modes == [{True}, {True}]


def test_the_lessons_defaults():
    trainer = GANTrainer()
    assert (trainer.switch_eval, trainer.clip, trainer.beta) == (False, None, 0.98)
    assert (trainer.gen_first, trainer.show_img, trainer.order) == (False, True, -20)
    learn = toy_gan()
    trainer = learn.gan_trainer
    assert (trainer.switch_eval, trainer.clip, trainer.show_img) == (True, None, True)
    assert (learn.switcher.n_crit, learn.switcher.n_gen) == (5, 1)
    assert toy_wgan().gan_trainer.clip == 0.01
    assert GANDiscriminativeLR().mult_lr == 5


# --------------------------------------------------------------------------------- after a training


def test_afterwards_all_is_as_before():
    learn = toy_gan(switcher=FixedGANSwitcher(3, 2))
    learn.model.generator[1].eval()
    for _ in range(2):  # a second fit as well
        learn.fit(1, 1e-3)
        assert learn.model.gen_mode and learn.loss_func.gen_mode
        assert all(p.requires_grad for p in learn.model.parameters())
        off = [m for m in learn.model.modules() if not m.training]
        assert off == [learn.model.generator[1]]


def test_afterwards_all_is_as_before_a_failure_too():
    class Fails(Callback):
        def on_backward_begin(self):
            raise KeyError

    learn = toy_gan()
    with pytest.raises(KeyError):
        learn.fit(1, 1e-3, callbacks=[Fails()])
    assert learn.model.gen_mode and all(p.requires_grad for p in learn.model.parameters())
    learn.fit(1, 1e-3)


def test_what_is_frozen_stays_so():
    learn = toy_gan(switcher=FixedGANSwitcher(1, 1))
    frozen = learn.model.generator[0][0].weight
    frozen.requires_grad_(False)
    before = host(frozen).copy()
    learn.fit(1, 1e-2)
    assert np.array_equal(host(frozen), before) and not frozen.requires_grad
    others = [p for p in learn.model.parameters() if p is not frozen]
    assert all(p.requires_grad for p in others)


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_a_network_that_cannot_learn(name):
    learn = toy_gan()
    getattr(learn.model, name).requires_grad_(False)
    with pytest.raises(ValueError, match=f"all parameters of the {name} are frozen"):
        learn.fit(1, 1e-3)
    assert not any(p.requires_grad for p in getattr(learn.model, name).parameters())


def test_gradients_that_were_kept_are_lost_when_the_network_changes():
    """Skipping the step lets gradients add up; the other network's step must not use them."""

    class SkipsStep(Callback):
        def on_backward_end(self):
            raise CancelBatch

    learn = toy_gan(switcher=FixedGANSwitcher(1, 100))
    before = network_weights(learn.model.critic)
    watch = Watch(
        "batch_end", lambda learn: [p.grad is None for p in learn.model.critic.parameters()]
    )
    watch.order = 50
    learn.fit(1, 1e-2, callbacks=[SkipsStep(), watch])
    assert all(map(all, watch.found))
    assert not changed(before, learn.model.critic)[0]


# ------------------------------------------------------------------------------------------- turns


def fixed_turns(n_batches, n_crit, n_gen, gen_first):
    """The sequence as 4.7 of the fact sheet tells it: a counter each, both reset at a switch."""
    gen_mode, counters, log = gen_first, {True: 0, False: 0}, []
    for _ in range(n_batches):
        log.append("generator" if gen_mode else "critic")
        counters[gen_mode] += 1
        if counters[gen_mode] == (n_gen if gen_mode else n_crit):
            gen_mode, counters = not gen_mode, {True: 0, False: 0}
    return log


class OneNumber(nn.Module):
    """The smallest network: its answer has the shape of what it is given."""

    def __init__(self):
        self.weight = nn.Parameter(mt.zeros(1))

    def forward(self, x):
        return x * self.weight


def smallest_gan(switcher, n_train=6, n_valid=2, **options):
    data = PictureData(n_train, n_valid)
    losses = NoopLoss(), WassersteinLoss()
    options = {"progress": False, "switcher": switcher, **options}
    return GANLearner(data, OneNumber(), OneNumber(), *losses, **options)


@settings(max_examples=30, deadline=None)
@given(
    n_crit=st.integers(1, 7),
    n_gen=st.integers(1, 7),
    gen_first=st.booleans(),
    n_train=st.integers(1, 9),
    n_valid=st.integers(0, 3),
    epochs=st.integers(1, 4),
)
def test_fixed_turns(n_crit, n_gen, gen_first, n_train, n_valid, epochs):
    """Across epochs too, and whatever the validation set."""
    switcher = partial(FixedGANSwitcher, n_crit=n_crit, n_gen=n_gen)
    learn = smallest_gan(switcher, n_train, n_valid, gen_first=gen_first)
    for _ in range(2):  # a second fit begins anew
        learn.fit(epochs, 1e-3)
        expected = fixed_turns(epochs * n_train, n_crit, n_gen, gen_first)
        assert learn.gan_trainer.log == expected


def test_turns_that_depend_on_how_often_the_other_network_was_trained():
    """Three batches for the critic until the generator has had two, then one; and so on."""
    switcher = FixedGANSwitcher(lambda n: 3 if n < 2 else 1, lambda n: 1 + n // 6)
    learn = smallest_gan(switcher, 14)
    learn.fit(1, 1e-3)
    c, g = ["critic"], ["generator"]
    assert learn.gan_trainer.log == 3 * c + g + 3 * c + 2 * g + c + 2 * g + c + g
    learn.fit(1, 1e-3)
    assert learn.gan_trainer.log[:4] == 3 * c + g


def adaptive_turns(losses, gen_thresh, critic_thresh, gen_first):
    """4.7 again: after each batch toggle where there is no threshold or the loss is below it."""
    gen_mode, log = gen_first, []
    for loss in losses:
        log.append("generator" if gen_mode else "critic")
        thresh = gen_thresh if gen_mode else critic_thresh
        if thresh is None or loss < thresh:
            gen_mode = not gen_mode
    return log


@pytest.mark.parametrize("gen_first", [False, True])
@pytest.mark.parametrize("gen_quantile", [None, 0.5])
@pytest.mark.parametrize("critic_quantile", [None, 0.5])
def test_adaptive_turns(gen_first, gen_quantile, critic_quantile):
    first = toy_gan(switcher=FixedGANSwitcher(1, 1), data=PictureData(30))
    first.fit(1, 1e-3)
    raw = np.array(first.recorder.raw_losses)
    gen_thresh = gen_quantile and np.quantile(raw[1::2], gen_quantile)
    critic_thresh = critic_quantile and np.quantile(raw[::2], critic_quantile)
    switcher = partial(AdaptiveGANSwitcher, gen_thresh, critic_thresh)
    learn = toy_gan(switcher=switcher, data=PictureData(20), gen_first=gen_first)
    learn.fit(2, 1e-3)
    losses = learn.recorder.raw_losses
    assert learn.gan_trainer.log == adaptive_turns(losses, gen_thresh, critic_thresh, gen_first)
    assert {"generator", "critic"} == set(learn.gan_trainer.log)
    if gen_thresh is None:  # never two generator batches in a row
        assert "generator,generator" not in ",".join(learn.gan_trainer.log)


def test_a_threshold_never_reached_and_one_always_reached():
    never = toy_gan(switcher=AdaptiveGANSwitcher(critic_thresh=-1.0))
    never.fit(1, 1e-3)
    assert never.gan_trainer.log == ["critic"] * 6
    always = toy_gan(switcher=AdaptiveGANSwitcher(gen_thresh=1e9, critic_thresh=1e9))
    always.fit(1, 1e-3)
    assert always.gan_trainer.log == ["critic", "generator"] * 3


def test_a_batch_that_was_cancelled_has_no_loss_to_judge_by():
    class Cancels(Callback):
        def on_batch_begin(self):
            raise CancelBatch

    learn = toy_gan(switcher=AdaptiveGANSwitcher(critic_thresh=1e9))
    learn.fit(1, 1e-3, callbacks=[Cancels()])
    assert learn.gan_trainer.log == [] and learn.recorder.raw_losses == []
    assert learn.recorder.rows[0]["gen_loss"] is None


# --------------------------------------------------------------------------------- learning rates


@pytest.mark.parametrize("bn_wd", [True, False])
def test_the_critic_learns_faster(bn_wd):
    def rates(learn):
        return [(g["layer_group"], g["lr"]) for g in learn.opt.param_groups]

    during, after = Watch("backward_end", rates), Watch("batch_end", rates)
    learn = toy_gan(switcher=FixedGANSwitcher(2, 1), bn_wd=bn_wd)
    learn.callbacks.append(GANDiscriminativeLR(mult_lr=3.0))
    learn.fit(1, 0.1, callbacks=[during, after])
    for trained, found in zip(learn.gan_trainer.log, during.found, strict=True):
        assert {lr for net, lr in found if net == 0} == {0.1}
        assert {lr for net, lr in found if net == 1} == {0.1 * 3.0 if trained == "critic" else 0.1}
        assert len(found) == (2 if bn_wd else 4)
    assert all({lr for _, lr in found} == {0.1} for found in after.found)


def test_a_schedule_sees_its_own_rates():
    during = Watch("backward_end", lambda learn: learn.opt.param_groups[1]["lr"])
    plain, fast = (toy_gan(switcher=FixedGANSwitcher(2, 1)) for _ in range(2))
    plain.fit_one_cycle(2, 1e-3)
    fast.fit_one_cycle(2, 1e-3, callbacks=[GANDiscriminativeLR(), during])
    times = [5.0 if trained == "critic" else 1.0 for trained in fast.gan_trainer.log]
    assert during.found == [lr * k for lr, k in zip(plain.recorder.lrs, times, strict=True)]


@pytest.mark.parametrize("event", ["batch_begin", "loss_begin", "backward_end"])
def test_rates_are_put_back_after_a_batch_that_was_cancelled_or_failed(event):
    for error in (CancelBatch, KeyError):
        learn = toy_gan()

        def fail(learn, error=error):
            raise error

        callbacks = [GANDiscriminativeLR(), Watch(event, fail)]
        if error is KeyError:
            with pytest.raises(KeyError):
                learn.fit(1, 0.1, callbacks=callbacks)
        else:
            learn.fit(1, 0.1, callbacks=callbacks)
        assert {g["lr"] for g in learn.opt.param_groups} == {0.1}


def test_a_schedule_goes_on_after_a_batch_that_was_cancelled():
    class Cancels(Callback):
        def on_loss_begin(self):
            if self.learn.training and self.learn.done == 3:
                raise CancelBatch

    def rate(learn):
        return learn.opt.param_groups[1]["lr"]

    plain, fast = Watch("batch_begin", rate, order=-50), Watch("batch_begin", rate, order=-50)
    toy_gan(switcher=FixedGANSwitcher(20, 1)).fit_one_cycle(1, 1e-3, callbacks=[plain])
    callbacks = [GANDiscriminativeLR(), Cancels(), fast]
    toy_gan(switcher=FixedGANSwitcher(20, 1)).fit_one_cycle(1, 1e-3, callbacks=callbacks)
    assert fast.found == plain.found and len(set(plain.found)) == 6


def test_each_network_can_have_a_rate_of_its_own():
    learn = toy_gan()
    learn.fit(1, slice(1e-4, 1e-2))
    assert [g["lr"] for g in learn.opt.param_groups] == pytest.approx([1e-4, 1e-2])


# -------------------------------------------------------------------------------------- the table


def smoothed(losses, beta=0.98):
    mean, found = 0.0, []
    for n, loss in enumerate(losses, 1):
        mean = beta * mean + (1 - beta) * loss
        found.append(mean / (1 - beta**n))
    return found


@pytest.mark.parametrize("n_valid", [0, 2])
@pytest.mark.parametrize("show_img", [True, False])
def test_the_columns_are_each_networks_smoothed_loss(n_valid, show_img):
    data = PictureData(7, n_valid)
    learn = toy_gan(data=data, switcher=FixedGANSwitcher(2, 1), show_img=show_img)
    learn.fit(3, 1e-2)
    trainer, raw = learn.gan_trainer, learn.recorder.raw_losses
    pairs = list(zip(trainer.log, raw, strict=True))
    for end, row in zip((7, 14, 21), learn.recorder.rows, strict=True):
        for name, network in (("gen_loss", "generator"), ("disc_loss", "critic")):
            own = [loss for trained, loss in pairs[:end] if trained == network]
            assert row[name] == pytest.approx(smoothed(own)[-1], rel=1e-12)
        assert row["train_loss"] == pytest.approx(smoothed(raw[:end])[-1])
        assert (row["valid_loss"] is None) == (n_valid == 0)
    assert learn.recorder.names[1:-1] == ["train_loss", "valid_loss", "gen_loss", "disc_loss"]
    assert trainer.gen_losses[-1] == row["gen_loss"] and len(trainer.gen_losses) == 7
    assert trainer.disc_losses == smoothed([loss for t, loss in pairs if t == "critic"])


def test_a_network_not_trained_yet_has_no_column():
    learn = toy_gan(data=PictureData(3))
    learn.fit(2, 1e-3)
    first, second = learn.recorder.rows
    assert first["gen_loss"] is None
    assert second["gen_loss"] == pytest.approx(learn.recorder.raw_losses[5])


def test_the_table_as_printed(capsys):
    learn = toy_gan(progress=True)
    learn.fit(1, 1e-3)
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["epoch", "train_loss", "valid_loss", "gen_loss", "disc_loss", "time"]
    row = learn.recorder.rows[0]
    names = ("train_loss", "valid_loss", "gen_loss", "disc_loss")
    assert line.split()[1:5] == [f"{row[name]:.6f}" for name in names]


def test_pictures_of_each_epoch():
    last = Watch("loss_begin", lambda learn: host(learn.pred) if learn.model.gen_mode else None)
    learn = toy_gan(data=PictureData(4), callbacks=[last], switcher=FixedGANSwitcher(2, 1))
    learn.fit(3, 1e-2)
    trainer = learn.gan_trainer
    assert trainer.titles == ["Epoch 0", "Epoch 1", "Epoch 2"] and len(trainer.imgs) == 3
    for epoch, picture in enumerate(trainer.imgs):
        generated = [out for out in last.found[4 * epoch : 4 * epoch + 4] if out is not None]
        expected = np.clip(generated[-1][0] * 0.5 + 0.5, 0, 1)
        assert isinstance(picture, np.ndarray) and picture.shape == (1, 8, 8)
        assert np.array_equal(picture, expected)
    learn.fit(1, 1e-3)
    assert trainer.titles == ["Epoch 0"]  # of the last fit


def test_no_pictures_where_none_are_wanted_or_none_were_made():
    silent = toy_gan(show_img=False)
    silent.fit(1, 1e-3)
    assert silent.gan_trainer.imgs == [] == silent.gan_trainer.titles
    rare = toy_gan(data=PictureData(3))  # 3 batches an epoch, the sixth is the generator's
    rare.fit(3, 1e-3)
    assert rare.gan_trainer.titles == ["Epoch 1"]


# -------------------------------------------------------------------------------------- validation


def test_validation_is_the_generators(monkeypatch):
    """Its loss, computed by hand from the weights after the epoch; metrics see its pictures."""
    seen = []

    def error(pred, target):
        seen.append((host(pred), host(target)))
        return ((pred - target) ** 2).mean()

    data = PictureData(4, 3)
    learn = toy_gan(data=data, switcher=FixedGANSwitcher(3, 1), metrics=error, weights_gen=(2, 5))
    learn.fit(1, 1e-2)
    model = learn.model.eval()
    losses, errors = [], []
    for (x, y), (pred, target) in zip(data.valid_dl.batches(0), seen, strict=True):
        generated = model.generator(x)
        assert np.array_equal(host(generated), pred) and np.array_equal(host(y), target)
        fool = CRITIC_LOSS(model.critic(generated), mt.ones(4)).item()
        errors.append(((pred - target) ** 2).mean())
        losses.append(2 * fool + 5 * errors[-1])
    row = learn.recorder.rows[0]
    assert row["valid_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert row["error"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert learn.validate()[0] == pytest.approx(row["valid_loss"])  # outside a fit too


def test_validation_changes_nothing_in_training():
    """The same bits with and without it, though an epoch ends in the middle of a turn."""
    ends = []
    for n_valid in (0, 2):
        learn = toy_gan(data=PictureData(7, n_valid), switcher=FixedGANSwitcher(3, 2))
        learn.fit(3, 1e-2)
        ends.append(weights_of(learn))
    assert same_bits(*ends)


def test_no_turns_are_taken_in_validation():
    """All batches of it are the generator's, with a switcher that switches after every batch."""
    for switcher in (AdaptiveGANSwitcher(), FixedGANSwitcher(1, 1)):
        learn = toy_gan(data=PictureData(5, 4), switcher=switcher)
        learn.fit(1, 1e-3)
        assert learn.recorder.rows[0]["valid_loss"] == pytest.approx(learn.validate()[0])


def test_mode_and_counts_after_validation():
    def state(learn):
        return learn.gan_trainer.gen_mode, learn.switcher.state_dict(), len(learn.gan_trainer.log)

    before, after = Watch("batch_end", state, order=50), Watch("epoch_end", state, training=False)
    learn = toy_gan(data=PictureData(7), callbacks=[before, after], switcher=FixedGANSwitcher(3, 2))
    learn.fit(3, 1e-3)
    assert after.found == before.found[6::7]
    assert [mode for mode, *_ in after.found] == [False, True, False]


def test_the_generator_answers_in_the_middle_of_a_fit():
    def answers(learn):
        mode = learn.gan_trainer.gen_mode
        batch = learn.data.one_batch()
        found = [learn.pred_batch(batch), learn.get_preds()[0]]
        assert learn.gan_trainer.gen_mode == mode and learn.model.gen_mode == mode
        return mode, [p.shape for p in found], len(learn.summary().rows)

    watch = Watch("batch_end", answers)
    learn = toy_gan(callbacks=[watch], switcher=FixedGANSwitcher(1, 1))
    learn.fit(1, 1e-3)
    shapes = [(4, 1, 8, 8), (8, 1, 8, 8)]
    rows = len(list(learn.model.generator.modules())) - 2  # without the two containers
    assert [found[1:] for found in watch.found] == 6 * [(shapes, rows)]
    assert {found[0] for found in watch.found} == {True, False}
    images = learn.pred_batch(learn.data.one_batch(), reconstruct=True)
    assert 0 <= images.min() and images.max() <= 1 and images.shape == (4, 1, 8, 8)


def test_before_the_first_fit_the_generator_answers():
    learn = toy_gan()
    assert learn.gan_trainer.gen_mode and learn.model(learn.data.one_batch()[0]).shape[1:] == (
        1,
        8,
        8,
    )
    assert learn.pred_batch(learn.data.one_batch()).shape == (4, 1, 8, 8)
    assert learn.validate()[0] > 0


# ------------------------------------------------------------------------------------------- WGAN


def extremes(learn):
    values = [np.abs(host(p)).max() for p in learn.model.critic.parameters()]
    return max(values)


@pytest.mark.parametrize("gen_first", [False, True])
def test_the_critics_weights_are_within_the_limits_at_all_times(gen_first):
    moments = [Watch(event, extremes) for event in ("loss_begin", "batch_end")]
    learn = toy_wgan(clip=0.02, gen_first=gen_first, callbacks=moments)
    assert extremes(learn) == 1  # batch norm's γ
    learn.fit(2, 0.1)
    for watch in moments:
        assert len(watch.found) == 12
        assert max(watch.found) == pytest.approx(0.02) and max(watch.found) <= np.float32(0.02)
    generator = max(np.abs(host(p)).max() for p in learn.model.generator.parameters())
    assert generator > 0.5


def test_clipping_tells_a_graph_that_the_weights_changed():
    """Even of a critic that no step has moved."""
    learn = toy_wgan(gen_first=True, switcher=FixedGANSwitcher(1, 100))
    weight = next(learn.model.critic.parameters())
    before = weight.version
    learn.fit(1, 1e-3)
    assert weight.version > before and weight.grad is None


def test_without_a_clip_weights_are_free():
    learn = toy_wgan(clip=None, norm_free=True)
    learn.fit(1, 0.1)
    assert extremes(learn) > 0.3


def scores(learn):
    """What the critic says of real and of generated pictures of one batch."""
    x, y = learn.data.one_batch()
    with mt.no_grad():
        return learn.model.critic(y).item(), learn.model.critic(learn.model.generator(x)).item()


def test_a_wgans_critic_wants_real_pictures_to_have_the_lower_scores():
    """The lesson's signs: it lowers mean C(real) − mean C(fake)."""
    data = PictureData(20, 0, pairs=False)
    learn = toy_wgan(data=data, clip=0.5, norm_free=True, switcher=FixedGANSwitcher(20, 1))
    learn.fit(1, 3e-3)
    real, fake = scores(learn)
    assert real < fake - 0.5


def test_a_wgans_generator_wants_low_scores():
    data = PictureData(20, 0, pairs=False)
    switcher = FixedGANSwitcher(1, 20)
    learn = toy_wgan(data=data, clip=None, norm_free=True, gen_first=True, switcher=switcher)
    _, before = scores(learn)
    learn.fit(1, 3e-3)
    assert learn.gan_trainer.log == ["generator"] * 20
    assert scores(learn)[1] < before - 0.1


def test_the_penalty_is_part_of_the_critics_loss():
    """By hand, with the same draws: critic and generator have no other randomness."""
    learn = toy_wgan(norm_free=True, gradient_penalty=3.0, switcher=FixedGANSwitcher(1, 1))
    assert learn.gan_trainer.clip is None
    data, model = learn.data, learn.model
    x, y = data.one_batch()
    fake = model.generator(x).detach()
    mt.manual_seed(5)
    expected = model.critic(y).mean() - model.critic(fake).mean()
    expected = expected + gradient_penalty(model.critic, y, fake, 3.0)
    mt.manual_seed(5)
    learn.fit(1, 1e-3)
    assert learn.recorder.raw_losses[0] == pytest.approx(expected.item(), rel=1e-4)
    assert learn.loss_func.penalty.keywords == {"weight": 3.0}


def test_a_penalty_makes_slopes_of_one():
    learn = toy_wgan(
        norm_free=True,
        gradient_penalty=10.0,
        switcher=FixedGANSwitcher(100, 1),
        data=PictureData(60, 0, pairs=False),
    )
    x, y = learn.data.one_batch()

    def distance():
        fake = learn.model.generator(x).detach()
        return gradient_penalty(learn.model.critic, y, fake, 1.0).item()

    before = distance()
    learn.fit(1, 3e-3)
    assert distance() < 0.1 < 0.2 < before


def test_penalty_and_clip_exclude_each_other():
    with pytest.raises(ValueError, match="clip=0.01 and gradient_penalty=10 both bound"):
        toy_wgan(norm_free=True, clip=0.01, gradient_penalty=10)
    toy_wgan(norm_free=True, clip=None, gradient_penalty=10)
    with pytest.raises(ValueError, match=r"must not hold batch norm.*norm_type=None"):
        toy_wgan(gradient_penalty=10)
    for wrong in (0, -1, True, "10"):
        with pytest.raises(ValueError, match="gradient_penalty must be a number above 0"):
            toy_wgan(norm_free=True, gradient_penalty=wrong)


class ColourLoader(PictureLoader):
    """Pictures of one shade each, near ½; the noise is what they must be drawn from."""

    batch_size = 16

    def __init__(self, n, seed, pairs):
        super().__init__(n, seed, pairs)
        rng = np.random.default_rng(seed)
        shades = rng.normal(0.5, 0.1, (len(self.y), 1, 1, 1))
        self.y = np.broadcast_to(shades, self.y.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("epochs", "limits"),
    [(9, {"clip": 0.1}), (6, {"norm_free": True, "gradient_penalty": 10.0})],
)
def test_a_wgan_learns_a_simple_distribution(epochs, limits):
    """Both kinds bring what is drawn from noise near the shades, which are near ½."""
    data = PictureData(0, 0)
    data.train_dl = ColourLoader(60, 0, pairs=False)
    learn = toy_wgan(data=data, switcher=FixedGANSwitcher(3, 1), **limits)
    noise = mt.tensor(np.random.default_rng(9).standard_normal((64, 3, 1, 1)).astype(np.float32))

    def distances():
        drawn = host(learn.pred_batch((noise, None)))
        return np.abs(drawn.mean() - 0.5), np.sqrt(((drawn - 0.5) ** 2).mean())

    before = distances()
    learn.fit(epochs, 3e-3)
    after = distances()
    assert after[0] < 0.2 < 0.4 < before[0]
    assert after[1] < 0.4 < 0.49 < before[1]


# ---------------------------------------------------------------------------------------- the rest


def test_from_learners_takes_what_the_learners_have(tmp_path):
    data = PictureData()
    learn_gen = Learner(data, toy_generator(), path=tmp_path, model_dir="here")
    learn_crit = Learner(data, toy_critic(), CRITIC_LOSS, metrics=accuracy_thresh_expand)
    learn = GANLearner.from_learners(learn_gen, learn_crit, progress=False)
    assert learn.model.generator is learn_gen.model and learn.model.critic is learn_crit.model
    assert learn.data is data and (learn.path, learn.model_dir) == (tmp_path, "here")
    before = network_weights(learn_gen.model)
    learn.fit(1, 1e-2)
    assert changed(before, learn_gen.model)[0]
    elsewhere = GANLearner.from_learners(learn_gen, learn_crit, path=tmp_path / "b")
    assert elsewhere.path == tmp_path / "b"


def test_saved_and_loaded(tmp_path):
    learn = toy_gan(tmp_path)
    learn.fit(1, 1e-2)
    learn.save("gan")
    other = toy_gan(tmp_path, seed=1).load("gan")
    assert same_bits(weights_of(learn), weights_of(other))
    names = weights_of(learn)
    assert {name.split(".")[0] for name in names} == {"generator", "critic"}


def test_the_learning_rate_finder_leaves_all_as_it_was():
    ends = []
    for search in (False, True):
        learn = toy_gan(clip=0.05, switcher=FixedGANSwitcher(2, 1))
        if search:
            before = weights_of(learn)
            learn.lr_find(num_it=9, end_lr=1e-2)
            assert same_bits(before, weights_of(learn)) and learn.model.gen_mode
            assert len(learn.recorder.losses) == 9
        learn.fit(2, 1e-2)
        ends.append((weights_of(learn), learn.gan_trainer.log))
    assert same_bits(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1]


@pytest.mark.parametrize("wgan", [False, True])
def test_no_step_waits_for_the_device(wgan):
    """On the CuPy stand-in; with a threshold to compare with, the switcher waits, and only it."""
    with standin.installed(), mt.using("cupy"):
        waits = []

        class Counting(Callback):
            order = -100

            def on_batch_begin(self):
                if self.learn.training and self.learn.batch:
                    waits.append(self.count.syncs)
                self.count = standin.Count()

        data = PictureData(20, 0, pairs=not wgan)
        if wgan:
            learn = toy_wgan(data=data, norm_free=True, gradient_penalty=10, read_every=100)
        else:
            learn = toy_gan(data=data, read_every=100, clip=0.1)
        learn.fit(1, 1e-3, callbacks=[Counting(), GANDiscriminativeLR()])
        assert len(waits) == 19 and not any(waits)
        assert learn.recorder.rows[0]["disc_loss"] is not None
        waits.clear()
        learn = toy_gan(data=PictureData(20, 0), read_every=100)
        switcher = AdaptiveGANSwitcher(critic_thresh=-1)
        learn.callbacks = [learn.gan_trainer, switcher]
        learn.fit(1, 1e-3, callbacks=[Counting()])
        assert waits == [1] * 19


def test_the_device_gives_the_same_training_as_the_host():
    ends = []
    with standin.installed():
        for name in ("numpy", "cupy"):
            with mt.using(name):
                learn = toy_gan(switcher=FixedGANSwitcher(2, 1))
                learn.fit(2, 1e-3)
                ends.append(learn.recorder.raw_losses)
                assert learn.gan_trainer.imgs[-1].shape == (1, 8, 8)
    np.testing.assert_allclose(*ends, rtol=1e-3)


# ------------------------------------------------------------------------------------------ errors


def test_a_generator_that_does_not_fit_the_data():
    data = PictureData(n_valid=0, pairs=False)
    critic = basic_critic(8, 1, 2)
    for wrong, shape in (
        (basic_generator(8, 3, 3, 2), r"\(4, 3, 8, 8\)"),
        (basic_generator(16, 1, 3, 2), r"\(4, 1, 16, 16\)"),
    ):
        learn = GANLearner.wgan(data, wrong, critic, gen_first=True, progress=False)
        message = rf"the generator makes {shape}, but the data's pictures are \(4, 1, 8, 8\)"
        with pytest.raises(ValueError, match=message):
            learn.fit(1, 1e-3)
        learn = GANLearner.wgan(data, wrong, critic, progress=False)
        with pytest.raises(ValueError, match=message):
            learn.fit(1, 1e-3)


def test_a_critic_that_does_not_fit_the_data():
    data = PictureData(n_valid=0, pairs=False)
    learn = GANLearner.wgan(
        data, basic_generator(8, 1, 3, 2), basic_critic(8, 3, 2), progress=False
    )
    with pytest.raises(ValueError, match=r"basic_critic: .*n_channels=3.*got \(4, 1, 8, 8\)"):
        learn.fit(1, 1e-3)


@pytest.mark.parametrize(
    ("targets", "got"),
    [(np.zeros(4, np.int64), r"\(4,\) int64"), (np.zeros((4, 1, 8, 8), np.int64), "int64")],
)
def test_data_without_pictures_as_targets(targets, got):
    data = PictureData(n_valid=0)
    data.train_dl.batches = lambda epoch, start=0: iter(
        [(mt.zeros(4, 1, 8, 8), mt.tensor(targets))]
    )
    with pytest.raises(ValueError, match=f"targets must be pictures .*got .*{got}"):
        toy_gan(data=data).fit(1, 1e-3)
    data.train_dl.batches = lambda epoch, start=0: iter([(mt.zeros(4, 1, 8, 8), None)])
    with pytest.raises(ValueError, match="targets must be pictures .*got None"):
        toy_gan(data=data).fit(1, 1e-3)


def test_arguments_that_make_no_gan():
    data, net, loss = PictureData(), toy_generator(), NoopLoss()
    with pytest.raises(TypeError, match="GANLearner: crit_loss_func must be a loss.* got None"):
        GANLearner(data, net, toy_critic(), loss, None)
    with pytest.raises(TypeError, match=r"got the class NoopLoss; make one: add \(\)"):
        GANLearner(data, net, toy_critic(), NoopLoss, loss)
    with pytest.raises(
        TypeError, match="GANModule: critic must be an nn.Module, got Learner; of a"
    ):
        GANLearner(data, net, Learner(data, toy_critic()), loss, loss)
    with pytest.raises(TypeError, match="learn_crit must be a Learner, got Sequential"):
        GANLearner.from_learners(Learner(data, net), toy_critic())
    with pytest.raises(TypeError, match="loss_func and layer_groups are not for the caller"):
        GANLearner(data, net, toy_critic(), loss, loss, loss_func=loss)
    for wrong, got in (
        (5, "5"),
        (GANDiscriminativeLR(), ".*GANDiscriminativeLR"),
        (dict, ".*dict"),
    ):
        with pytest.raises(TypeError, match=rf"switcher must be a GANSwitcher.* got {got}"):
            GANLearner(data, net, toy_critic(), loss, loss, switcher=wrong)
    for critic in (net, nn.Sequential(net[0], nn.Flatten())):
        with pytest.raises(ValueError, match="GANModule: generator and critic share parameters"):
            GANLearner.wgan(data, net, critic)
    for weight in (-1, np.inf, "a"):
        with pytest.raises(ValueError, match="gradient_penalty must be a number above 0, got"):
            toy_wgan(gradient_penalty=weight)
    with pytest.raises(ValueError, match="clip must be a number above 0, or None; got 0"):
        toy_gan(clip=0)
    with pytest.raises(ValueError, match="beta must be at least 0 and below 1, got 1"):
        GANTrainer(beta=1)
    with pytest.raises(ValueError, match="beta must be at least 0 and below 1, got 'a'"):
        GANTrainer(beta="a")


@pytest.mark.parametrize("call", ["freeze", "unfreeze", "freeze_to", "split"])
def test_layer_groups_are_the_networks(call):
    learn = toy_gan()
    arguments = [[]] if call == "split" else [1] if call == "freeze_to" else []
    with pytest.raises(
        TypeError, match=f"{call}: a GANLearner's layer groups are its two networks"
    ):
        getattr(learn, call)(*arguments)


def test_switchers_of_nothing():
    callbacks = FixedGANSwitcher(), AdaptiveGANSwitcher(), GANDiscriminativeLR(), GANTrainer()
    for callback in callbacks:
        data = PictureData()
        learn = Learner(data, toy_generator(), callbacks=[callback], progress=False)
        with pytest.raises(TypeError, match=f"{type(callback).__name__}: belongs to a GANLearner"):
            learn.fit(1, 1e-3)
    with pytest.raises(TypeError, match="GANTrainer: a GANLearner makes its own"):
        toy_gan(callbacks=[GANTrainer()]).fit(1, 1e-3)


def test_impossible_turns():
    with pytest.raises(ValueError, match="FixedGANSwitcher: n_crit must be at least 1, got 0"):
        FixedGANSwitcher(0)
    with pytest.raises(TypeError, match="FixedGANSwitcher: n_gen must be an integer, got 1.5"):
        FixedGANSwitcher(1, 1.5)
    learn = smallest_gan(FixedGANSwitcher(lambda n: 0))
    with pytest.raises(
        ValueError, match=r"FixedGANSwitcher: n_crit\(0\) must be at least 1, got 0"
    ):
        learn.fit(1, 1e-3)
    for name in ("gen_thresh", "critic_thresh"):
        with pytest.raises(
            TypeError, match=f"AdaptiveGANSwitcher: {name} must be a finite number.*got '1'"
        ):
            AdaptiveGANSwitcher(**{name: "1"})
        with pytest.raises(TypeError, match="must be a finite number.*got nan"):
            AdaptiveGANSwitcher(**{name: np.nan})
    for wrong in (0, -5.0, "5", None, np.inf, np.nan):
        with pytest.raises(ValueError, match="mult_lr must be a number above 0, got"):
            GANDiscriminativeLR(wrong)
