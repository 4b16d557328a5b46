"""Layer groups: discriminative learning rates, cutting, freezing, weight decay."""

import numpy as np
import pytest
from test_learner_toy import ToyData, toy_learner, toy_model

import minitorch7 as mt
from minitorch7 import nn, optim
from minitorch7.learner import Learner, lr_range


def in_three(**options):
    learn = toy_learner(**options)
    model = learn.model
    return learn.split([model[3], model[5]])


def host(t):
    """A copy of a tensor's numbers as a NumPy array."""
    return t.detach().cpu().numpy().copy()


def trainable(learn):
    return [name for name, p in learn.model.named_parameters() if p.requires_grad]


# --------------------------------------------------------------------------------- learning rates


def test_a_number_is_for_all_groups():
    assert lr_range(1e-3, 3) == 1e-3


def test_slice_of_one_gives_the_others_a_tenth():
    assert lr_range(slice(3e-3), 3) == pytest.approx([3e-4, 3e-4, 3e-3])
    assert lr_range(slice(3e-3), 1) == [3e-3]


@pytest.mark.parametrize(
    ("ends", "rates"),
    [((1e-6, 1e-3), [1e-6, 3.1622777e-5, 1e-3]), ((2e-5, 2e-3), [2e-5, 2e-4, 2e-3])],
)
def test_slice_of_two_is_geometric(ends, rates):
    np.testing.assert_allclose(lr_range(slice(*ends), 3), rates, rtol=1e-7)


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        (slice(1e-5, 1e-3), "the model has one; give one number, or cut the model"),
        ([1e-3, 1e-2], "2 learning rates for 1 layer groups"),
        (slice(None), "write slice"),
    ],
)
def test_rates_that_do_not_fit(lr, message):
    with pytest.raises(ValueError, match=message):
        lr_range(lr, 1)


# ------------------------------------------------------------------------------ cutting, freezing


def test_one_group_by_default():
    learn = toy_learner()
    assert len(learn.layer_groups) == 1
    with pytest.raises(ValueError, match=r"one layer group.*learn.split"):
        learn.freeze()


def test_split_before_layers():
    learn = in_three()
    names = [[type(m).__name__ for m in group] for group in learn.layer_groups]
    assert names == [
        ["Sequential", "Conv2d", "BatchNorm2d", "ReLU"],
        ["Flatten", "Dropout"],
        ["Linear"],
    ]


def test_split_before_the_first_layer_makes_no_empty_group():
    learn = toy_learner()
    assert len(learn.split([learn.model[0], learn.model[5]]).layer_groups) == 2


def test_split_by_function():
    learn = toy_learner().split(lambda m: [[m[0], m[1]], m[5]])
    assert [len(group) for group in learn.layer_groups] == [2, 1]


def test_split_refuses_strange_layers_and_forgotten_parameters():
    learn = toy_learner()
    with pytest.raises(ValueError, match="0 of the 1 layers given are in Sequential"):
        learn.split([nn.ReLU()])
    with pytest.raises(ValueError, match="2 parameters are in no layer group.*5.weight"):
        learn.split(lambda m: [[m[0]], [m[1]]])


def test_a_parameter_outside_all_layers_is_in_a_group():
    class WithGamma(nn.Module):
        def __init__(self):
            self.body, self.gamma = toy_model(), nn.Parameter(mt.zeros(1))

        def forward(self, x):
            return self.body(x) * (1 + self.gamma)

    learn = Learner(ToyData(), WithGamma(), progress=False).split(lambda m: [m])
    learn.fit(1, 1e-2)
    assert learn.model.gamma.item() != 0


def test_freeze_keeps_batch_norm_trainable():
    learn = in_three()
    learn.freeze()
    assert trainable(learn) == ["1.weight", "1.bias", "5.weight", "5.bias"]
    learn.unfreeze()
    assert len(trainable(learn)) == 6


def test_freeze_without_train_bn():
    learn = in_three(train_bn=False)
    learn.freeze_to(2)
    assert trainable(learn) == ["5.weight", "5.bias"]


def test_freezing_starts_the_optimiser_afresh_and_frozen_weights_stay():
    learn = in_three()
    learn.fit(1, 1e-2)
    before = learn.opt
    learn.freeze()
    assert learn.opt is not before
    frozen, free = host(learn.model[0].weight), host(learn.model[5].weight)
    learn.fit(1, 1e-2)
    np.testing.assert_array_equal(host(learn.model[0].weight), frozen)
    assert not np.array_equal(host(learn.model[5].weight), free)


def test_freeze_to_a_group_that_is_not_there():
    with pytest.raises(ValueError, match="freeze_to: n=3, but the model has 3 layer groups"):
        in_three().freeze_to(3)


# ------------------------------------------------------------------------- what the optimiser gets


def test_discriminative_rates_reach_their_groups():
    learn = in_three()
    learn.fit(1, slice(1e-4, 1e-2))
    # the middle group, Flatten and Dropout, has nothing that learns
    assert [g["lr"] for g in learn.opt.param_groups] == [1e-4, 1e-2]
    assert learn.recorder.lrs == [1e-2] * 6


def test_frozen_batch_norm_learns_at_its_groups_rate():
    learn = in_three()
    learn.freeze()
    learn.fit(1, slice(1e-2))
    assert [g["lr"] for g in learn.opt.param_groups] == [1e-3, 1e-2]
    assert [len(g["params"]) for g in learn.opt.param_groups] == [2, 2]


def test_bn_wd_decides_what_decays():
    learn = toy_learner(wd=0.1)
    learn.create_opt()
    assert [(len(g["params"]), g["weight_decay"]) for g in learn.opt.param_groups] == [(6, 0.1)]
    learn = toy_learner(wd=0.1, bn_wd=False)
    learn.create_opt()
    groups = [(len(g["params"]), g["weight_decay"]) for g in learn.opt.param_groups]
    assert groups == [(2, 0.1), (4, 0.0)]  # the two weights; norm's γ and β and two biases


def test_default_optimiser_is_adam_with_the_lessons_settings():
    learn = toy_learner()
    learn.create_opt()
    group = learn.opt.param_groups[0]
    assert tuple(group["betas"]) == (0.9, 0.99) and group["eps"] == 1e-8
    assert group["weight_decay"] == 1e-2


@pytest.mark.parametrize("opt_func", [None, optim.Adam, optim.SGD])
def test_weight_decay_shrinks_weights_by_lr_times_wd(opt_func):
    """p ← p·(1 − lr·wd) before the step, whatever the optimiser: that is all two runs differ by."""
    after = []
    for wd in (0.0, 0.5):
        learn = toy_learner(wd=wd, opt_func=opt_func, data=ToyData(n_train=10, valid=False))
        before = host(learn.model[5].weight)
        learn.fit(1, 0.01)
        after.append(host(learn.model[5].weight))
    np.testing.assert_allclose(after[1], after[0] - before * 0.01 * 0.5, rtol=0, atol=1e-7)
