"""`FeatureLoss` by hand, term by term; its columns in the table; features learned from turning."""

import gc
import itertools
import weakref
from pathlib import Path

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import convolution, pooling
from safetensors.numpy import save_file
from test_learner_resume import At, Dies
from test_learner_toy import ToyLoader, same_bits, weights_of

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.autograd import Tensor
from minitorch7.data import DataError, ImageList
from minitorch7.learner import Learner, accuracy
from minitorch7.learner.loss_metrics import LossMetrics
from minitorch7.vision.feature_loss import (
    FeatureLoss,
    gram_matrix,
    layers_before_pooling,
    vgg_features,
)
from minitorch7.vision.pretrained import WeightsNotFound
from minitorch7.vision.turned import ANY, TURNS, TurnedList, turn_network, turned, turned_photos

IDS, WEIGHTS = [2, 6], [3.0, 0.5]


def features(seed=0, dtype="float64"):
    """Two stages of convolution, batch norm that has seen data, ReLU, pooling; one layer more."""
    mt.manual_seed(seed)
    layers = []
    for ni, nf in ((3, 4), (4, 5)):
        norm = nn.BatchNorm2d(nf)
        for t, low in ((norm.running_mean, -0.2), (norm.running_var, 0.5), (norm.weight, 0.5)):
            t.copy_(np.random.default_rng(nf).uniform(low, low + 1, nf).astype(np.float32))
        layers += [nn.Conv2d(ni, nf, 3, padding=1), norm, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers).to(dtype)


def pictures(n=2, side=6, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, 3, side, side)).astype(dtype)


def host(t):
    """A tensor's values, history or not."""
    return mt.backend.to_numpy(t.data)


def pair(**options):
    x, y = pictures(seed=1, **options), pictures(seed=2, **options)
    return mt.tensor(x, requires_grad=True), mt.tensor(y, requires_grad=True)


# --------------------------------------------------------------------------------------- the loss


def features_by_loops(m_feat, x):
    """What layers 2 and 6 of `features` give out, by the formulas."""
    found = []
    for start in (0, 4):
        conv, norm = m_feat[start], m_feat[start + 1]
        x = convolution.conv2d(x, host(conv.weight), host(conv.bias), padding=1)
        mean, var, scale, shift = (
            host(t)[None, :, None, None]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        x = np.maximum((x - mean) / np.sqrt(var + norm.eps) * scale + shift, 0)
        found.append(x)
        x = pooling.max_pool2d(x, 2)
    return found


def gram_by_loops(x):
    n, c, h, w = x.shape
    g = np.zeros((n, c, c))
    for k, a, b in np.ndindex(n, c, c):
        for i, j in np.ndindex(h, w):
            g[k, a, b] += x[k, a, i, j] * x[k, b, i, j]
    return g / (c * h * w)


def terms_by_loops(m_feat, x, y, base):
    fx, fy = (features_by_loops(m_feat, t) for t in (x, y))
    feats = [w * base(a, b) for w, a, b in zip(WEIGHTS, fx, fy, strict=True)]
    grams = [
        5000 * w * w * base(gram_by_loops(a), gram_by_loops(b))
        for w, a, b in zip(WEIGHTS, fx, fy, strict=True)
    ]
    names = "pixel feat_0 feat_1 gram_0 gram_1".split()
    return dict(zip(names, [base(x, y), *feats, *grams], strict=True))


@pytest.mark.parametrize("base", ["l1", "mse"])
def test_it_is_its_formula(base):
    ours, by_hand = {
        "l1": (F.l1_loss, lambda a, b: np.abs(a - b).mean()),
        "mse": (F.mse_loss, lambda a, b: ((a - b) ** 2).mean()),
    }[base]
    m_feat = features()
    loss_func = FeatureLoss(m_feat, IDS, WEIGHTS, ours)
    x, y = pair()
    loss = loss_func(x, y)
    expected = terms_by_loops(m_feat, host(x), host(y), by_hand)
    assert loss_func.metric_names == list(loss_func.metrics) == list(expected)
    for name, value in expected.items():
        assert loss_func.metrics[name].item() == pytest.approx(value, rel=1e-9), name
    assert loss.shape == () and loss.item() == pytest.approx(sum(expected.values()), rel=1e-9)


def test_l1_is_the_base_unless_another_is_given():
    x, y = pair()
    ours = [FeatureLoss(features(), IDS, WEIGHTS, *base)(x, y) for base in ((), (F.l1_loss,))]
    assert ours[0].item() == ours[1].item()


def test_layers_may_come_in_any_order():
    x, y = pair()
    one, other = FeatureLoss(features(), IDS, WEIGHTS), FeatureLoss(features(), [6, 2], [0.5, 3.0])
    assert one(x, y).item() == pytest.approx(other(x, y).item(), rel=1e-12)
    assert one.metrics["gram_1"].item() == other.metrics["gram_0"].item()


def test_nothing_for_equal_pictures(backend):
    x = mt.tensor(pictures(dtype=np.float32))
    loss_func = FeatureLoss(features(dtype="float32"), IDS, WEIGHTS)
    assert loss_func(x, x).item() == 0
    assert loss_func(x, x + 0.1).item() > 0.1


def test_both_backends_agree():
    found = {}
    for name in ("numpy", "cupy"):
        with standin.installed(), mt.using(name):
            x, y = pair()
            loss_func = FeatureLoss(features(), IDS, WEIGHTS)
            loss = loss_func(x, y)
            with standin.no_sync():
                loss_func(x, y).backward()
            assert x.grad.backend == loss_func.metrics["gram_0"].backend == name
            found[name] = loss.item(), x.grad.numpy()
    assert found["numpy"][0] == pytest.approx(found["cupy"][0], rel=1e-12)
    np.testing.assert_allclose(found["numpy"][1], found["cupy"][1], rtol=1e-9, atol=1e-12)


# -------------------------------------------------------------------------------- Gram matrices


def test_gram_matrix_of_a_small_picture():
    x = mt.tensor(np.array([[[[1.0, 2.0]], [[3.0, 0.0]]]]))  # two channels of 1 × 2 pixels
    expected = np.array([[[1 + 4, 3], [3, 9]]]) / (2 * 1 * 2)
    np.testing.assert_allclose(gram_matrix(x).numpy(), expected)


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(*[st.integers(1, n) for n in (3, 4, 5, 5)]), seed=st.integers(0, 99))
def test_gram_matrix_is_its_formula_and_knows_no_places(shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    g = gram_matrix(mt.tensor(x)).numpy()
    np.testing.assert_allclose(g, gram_by_loops(x), rtol=1e-9, atol=1e-12)
    shuffled = x.reshape(*shape[:2], -1)[:, :, rng.permutation(shape[2] * shape[3])]
    np.testing.assert_allclose(gram_matrix(mt.tensor(shuffled.reshape(shape))).numpy(), g)


# --------------------------------------------------------------------------------------- gradient


@pytest.mark.parametrize("base", [F.mse_loss, F.l1_loss])
def test_gradient_against_finite_differences(base):
    x, y = pair(n=1, side=4)
    loss_func = FeatureLoss(features(), IDS, WEIGHTS, base)
    assert mt.gradcheck(lambda x: loss_func(x, y.detach()), (x,))


def test_gradient_reaches_the_prediction_alone():
    m_feat = features()
    loss_func, (x, y) = FeatureLoss(m_feat, IDS, WEIGHTS), pair()
    loss_func(x, y).backward()
    assert np.abs(x.grad.numpy()).min() > 0
    assert y.grad is None
    assert all(p.grad is None and not p.requires_grad for p in m_feat.parameters())


def leaves(t):
    """Every tensor that the graph of `t` would give a gradient to."""
    found, seen, todo = set(), set(), [t.grad_fn]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for source in node.inputs:
            if isinstance(source, Tensor):
                found.add(id(source))
            elif source is not None:
                todo.append(source.grad_fn)
    return found


def test_the_graph_holds_the_prediction_and_goes_with_the_loss():
    loss_func, (x, y) = FeatureLoss(features(), IDS, WEIGHTS), pair()
    made = y * 1  # a target with a history
    loss = loss_func(x, made)
    assert leaves(loss) == {id(x)}
    assert all(m.grad_fn is None and not m.requires_grad for m in loss_func.metrics.values())
    gc.disable()
    try:
        node = weakref.ref(loss.grad_fn)
        del loss
        assert node() is None  # not even a circle of references keeps it
    finally:
        gc.enable()


def test_layers_after_the_last_chosen_do_not_run():
    def refuse(x):
        raise AssertionError("this layer is of no use to the loss")

    loss_func = FeatureLoss(features().append(nn.Lambda(refuse)), IDS, WEIGHTS)
    assert loss_func(*pair()).item() > 0


# ------------------------------------------------------------------------------------------- mode


def test_the_features_stay_in_evaluation_mode():
    m_feat = features()
    loss_func, (x, y) = FeatureLoss(m_feat, IDS, WEIGHTS), pair()
    before = {k: v.data.copy() for k, v in m_feat.state_dict().items()}
    assert not any(m.training for m in m_feat.modules())  # from the beginning
    expected = loss_func.eval()(x, y).item()
    assert loss_func.train() is loss_func and loss_func.training
    assert not any(m.training for m in m_feat.modules())
    assert loss_func(x, y).item() == expected
    outer = nn.Sequential(loss_func).train()  # which sets the mode of everything inside
    assert outer[0](x, y).item() == expected
    assert all((before[k] == v.data).all() for k, v in m_feat.state_dict().items())


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("ids", "weights", "kind", "said"),
    [
        ([2, 8], [1, 1], ValueError, r"different numbers of m_feat's 8 layers, 0 to 7, got \[2, 8"),
        ([-1], [1], ValueError, "0 to 7"),
        ([2, 2], [1, 1], ValueError, "different numbers"),
        ([], [], ValueError, r"got \[\]"),
        ([2.0], [1], TypeError, "each of layer_ids must be an integer, got 2.0"),
        ([True], [1], TypeError, "integer"),
        ([2, 6], [1], ValueError, r"2 layers \[2, 6\] but 1 layer_wgts \[1\]; give one"),
        ([2], [float("nan")], ValueError, "number of at least 0, got nan"),
        ([2], [-1], ValueError, "at least 0, got -1"),
        ([2], ["5"], ValueError, "at least 0, got '5'"),
        (2, [1], TypeError, r"layer_ids must be a list, .* got 2; .* write \[2\]"),
        ([2], 1, TypeError, r"layer_wgts must be a list, .* got 1"),
    ],
)
def test_layers_and_weights_that_do_not_fit(ids, weights, kind, said):
    with pytest.raises(kind, match=f"FeatureLoss: .*{said}"):
        FeatureLoss(features(), ids, weights)


def test_arguments_that_are_something_else():
    with pytest.raises(TypeError, match=r"m_feat must be an nn.Sequential.* got Conv2d; of a VGG"):
        FeatureLoss(nn.Conv2d(3, 3, 3), [0], [1])
    with pytest.raises(TypeError, match="base_loss must be a function, got 'l1'"):
        FeatureLoss(features(), IDS, WEIGHTS, "l1")
    with pytest.raises(TypeError, match=r"base_loss must be a function.*as nn.MSELoss\(\)"):
        FeatureLoss(features(), IDS, WEIGHTS, nn.MSELoss)
    for wrong, met in ((lambda x, y: 0.5, "got 0.5"), (lambda x, y: x - y, "got shape")):
        with pytest.raises(TypeError, match=f"base_loss must answer .* one number, {met}"):
            FeatureLoss(features(), IDS, WEIGHTS, wrong)(*pair())
    for layers in (None, [nn.MaxPool2d(2)]):
        with pytest.raises(TypeError, match="layers_before_pooling: layers must be an nn.Seq"):
            layers_before_pooling(layers)
    with pytest.raises(ValueError, match=r"gram_matrix: x must be \(N, C, H, W\), got shape \(3,"):
        gram_matrix(mt.zeros(3, 4, 5))


@pytest.mark.parametrize("shape", [(0, 3, 6, 6), (2, 3, 0, 6), (2, 3, 6, 0)])
def test_nothing_has_no_mean(shape):
    empty = mt.zeros(*shape, dtype="float64")
    with pytest.raises(ValueError, match=r"FeatureLoss: pictures of shape .* have no pixels"):
        FeatureLoss(features(), IDS, WEIGHTS)(empty, empty)
    if shape[0]:
        with pytest.raises(ValueError, match=r"gram_matrix: x of shape .* has no values"):
            gram_matrix(empty)
    else:
        assert gram_matrix(empty).shape == (0, 3, 3)


def test_pictures_that_do_not_fit():
    loss_func = FeatureLoss(features(dtype="float32"), [7], [1])
    zeros = mt.zeros
    with pytest.raises(ValueError, match=r"predictions \(2, 3, 8, 8\) and targets \(2, 3, 8, 9\)"):
        loss_func(zeros(2, 3, 8, 8), zeros(2, 3, 8, 9))
    with pytest.raises(ValueError, match=r"\(2, 1, 8, 8\) have 1 channels, .* expects 3; read"):
        loss_func(zeros(2, 1, 8, 8), zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"input must be pictures .* got shape \(3, 8, 8\)"):
        loss_func(zeros(3, 8, 8), zeros(3, 8, 8))
    with pytest.raises(ValueError, match=r"of \(3, 9\) are too small for layer 7 .* least 4 pixel"):
        loss_func(zeros(2, 3, 3, 9), zeros(2, 3, 3, 9))
    assert loss_func(zeros(2, 3, 4, 4), zeros(2, 3, 4, 4)).item() == 0
    with pytest.raises(TypeError, match="input must be a Tensor, got ndarray"):
        loss_func(np.zeros((2, 3, 8, 8)), zeros(2, 3, 8, 8))
    with pytest.raises(TypeError, match="input is float64 but weight is float32"):
        loss_func(zeros(2, 3, 8, 8, dtype="float64"), zeros(2, 3, 8, 8, dtype="float64"))


# -------------------------------------------------------------------------------------------- VGG


def test_vgg16_is_the_lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    m_feat = vgg_features(pretrained=False)
    assert layers_before_pooling(m_feat) == [5, 12, 22, 32, 42] and len(m_feat) == 44
    assert sum(p.numel() for p in m_feat.parameters()) == 14_723_136
    state = m_feat.state_dict()
    weights = {f"features.{k}": np.array(host(t), order="C") for k, t in state.items()}
    weights["features.0.bias"] += 0.25
    weights["classifier.0.weight"] = np.zeros((2, 2), np.float32)  # of no use here
    save_file(weights, tmp_path / "vgg.safetensors")
    loss_func = FeatureLoss.vgg16(pretrained=tmp_path / "vgg.safetensors")
    assert (loss_func.layer_ids, loss_func.layer_wgts) == ([22, 32, 42], [5, 15, 2])
    assert loss_func.gram_wgts == [125_000, 1_125_000, 20_000]
    assert loss_func.metric_names == "pixel feat_0 feat_1 feat_2 gram_0 gram_1 gram_2".split()
    np.testing.assert_array_equal(host(loss_func.m_feat[0].bias), 0.25)
    with pytest.raises(ValueError, match="too small for layer 42 of m_feat.* at least 16 pixels"):
        loss_func(mt.zeros(1, 3, 15, 99), mt.zeros(1, 3, 15, 99))
    for name in ("MINITORCH7_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    monkeypatch.setenv("MINITORCH7_OFFLINE", "1")
    with pytest.raises(WeightsNotFound, match="vgg16_bn: no pretrained weights"):
        FeatureLoss.vgg16()


# -------------------------------------------------------------------------------- LossMetrics


class PictureData:
    """Pictures whose targets are themselves, doubled."""

    test_dl = None

    def __init__(self, n_train=12, n_valid=7, batch_size=4, valid=True):
        x = pictures(n_train + n_valid, 8, dtype=np.float32)
        y = 2 * x
        self.train_dl = ToyLoader(x[:n_train], y[:n_train], batch_size, shuffle=True)
        self.valid_dl = ToyLoader(x[n_train:], y[n_train:], batch_size) if valid else None


def picture_learner(data=None, path=".", loss_func=None, **options):
    loss_func = loss_func or FeatureLoss(features(dtype="float32"), IDS, WEIGHTS)
    mt.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
    options = {"callbacks": [LossMetrics()], "progress": False, **options}
    return Learner(data or PictureData(), model, loss_func=loss_func, path=path, **options)


def test_columns_are_the_validation_sets_means():
    learn = picture_learner(metrics=[lambda pred, target: F.mse_loss(pred, target)])
    m_feat = learn.loss_func.m_feat
    before = {k: v.data.copy() for k, v in m_feat.state_dict().items()}
    learn.fit(2, 1e-2)
    names = "pixel feat_0 feat_1 gram_0 gram_1".split()
    assert learn.recorder.names[4:-1] == names
    means, seen = dict.fromkeys(names, 0.0), 0
    with nn.evaluating(learn.model), mt.no_grad():
        for x, y in learn.data.valid_dl.batches(0):
            learn.loss_func(learn.model(x), y)
            for name in names:
                means[name] += len(x) * learn.loss_func.metrics[name].item()
            seen += len(x)
    assert seen == 7  # 4 and 3: batches of two sizes
    row = learn.recorder.rows[-1]
    for name in names:
        assert row[name] == pytest.approx(means[name] / seen, rel=1e-5), name
    assert sum(row[name] for name in names) == pytest.approx(row["valid_loss"], rel=1e-5)
    assert learn.recorder.rows[0]["pixel"] != row["pixel"]  # each epoch has its own
    assert all((before[k] == v.data).all() for k, v in m_feat.state_dict().items())
    assert not {id(p) for p in m_feat.parameters()} & {id(p) for p in learn.model.parameters()}


def test_columns_stay_empty_without_a_validation_set():
    learn = picture_learner(PictureData(valid=False))
    learn.fit(1, 1e-2)
    assert learn.recorder.rows[0]["pixel"] is None and "gram_1" in learn.recorder.names


def test_columns_are_read_together():
    with standin.installed(), mt.using("cupy"):
        learn = picture_learner(read_every=50)
        learn.fit(1, 1e-2)  # compiles nothing: the first counts as the second
        with standin.count() as count:
            learn.fit(1, 1e-2)
        syncs = {}
        syncs["with"] = count.syncs
        plain = picture_learner(read_every=50, callbacks=[])
        with standin.count() as count:
            plain.fit(1, 1e-2)
        syncs["without"] = count.syncs
    assert syncs["with"] == syncs["without"] + 1  # however many batches and columns


def test_a_loss_without_terms_is_named():
    learn = picture_learner(loss_func=nn.MSELossFlat())
    with pytest.raises(TypeError, match="LossMetrics: .* but MSELossFlat has no metric_names; use"):
        learn.fit(1, 1e-2)


@pytest.mark.parametrize("done", [1, 3, 4])
def test_columns_are_the_same_after_a_restart(tmp_path, done):
    whole = picture_learner(path=tmp_path / "whole")
    whole.fit(2, 1e-2, checkpoint="fit", checkpoint_every=1)
    broken = picture_learner(path=tmp_path / "broken")
    with pytest.raises(Dies):
        callbacks = [At("batch_end", done, Dies("killed"), order=200)]
        broken.fit(2, 1e-2, checkpoint="fit", checkpoint_every=1, callbacks=callbacks)
    again = picture_learner(path=tmp_path / "broken")
    again.fit(2, 1e-2, checkpoint="fit", checkpoint_every=1)
    assert same_bits(weights_of(whole), weights_of(again))
    for one, other in zip(whole.recorder.rows, again.recorder.rows, strict=True):
        assert {**one, "time": 0} == {**other, "time": 0}


# -------------------------------------------------------------------- features learned from turning


def photos(n=12, side=10, seed=0):
    """An ImageList of pictures that are bright above and dark below."""
    rng = np.random.default_rng(seed)
    light = np.linspace(200, 40, side)[:, None]
    pixels = light + rng.integers(-30, 30, (n, 3, side, side))
    return ImageList.from_arrays({"all": (pixels.astype(np.uint8), np.arange(n))})


def test_a_quarter_turn_to_the_left():
    x = pictures(4, 5)
    turns = np.arange(4)
    found = turned(x, turns)
    for i, j in itertools.product(range(5), repeat=2):
        np.testing.assert_array_equal(found[0, :, i, j], x[0, :, i, j])
        np.testing.assert_array_equal(found[1, :, i, j], x[1, :, j, 4 - i])
        np.testing.assert_array_equal(found[2, :, i, j], x[2, :, 4 - i, 4 - j])
        np.testing.assert_array_equal(found[3, :, i, j], x[3, :, 4 - j, i])
    np.testing.assert_array_equal(turned(found, -turns % 4), x)
    with pytest.raises(DataError, match=r"turned: .* must be square, .* \(4, 3, 5, 4\); crop"):
        turned(x[..., 1:], turns)


def test_training_draws_the_turns_from_the_loaders_stream():
    upright = photos()
    sets = turned_photos(upright.split_by_idx([0, 1]))
    data = sets.databunch(bs=5, seed=3)
    same = turned_photos(photos().split_by_idx([0, 1])).databunch(bs=5, seed=3)
    ways = set()
    for epoch in range(12):
        for index in range(2):
            x, turns = data.train_dl.batch(epoch, index)
            again = same.train_dl.batch(epoch, index)
            np.testing.assert_array_equal(x.numpy(), again[0].numpy())
            np.testing.assert_array_equal(turns.numpy(), again[1].numpy())
            items = data.train_dl.order(epoch)[5 * index : 5 * index + 5]
            wanted = turned(np.stack([upright[int(2 + i)] for i in items]), turns.numpy())
            np.testing.assert_allclose(x.numpy(), wanted, atol=1e-6)
            ways |= set(zip(items.tolist(), turns.numpy().tolist(), strict=True))
    assert len(ways) > 0.9 * 10 * 4  # nearly every photo in nearly every way
    assert turns.dtype == np.int64


def test_validation_has_every_photo_in_all_four_ways():
    upright = photos()
    sets = turned_photos(upright.split_by_idx([3, 1]))
    assert (len(sets.train), len(sets.valid)) == (10, 8)
    assert (sets.classes, sets.c) == (list(TURNS), 4)
    (x, turns), *_ = sets.databunch(bs=5, val_bs=8).valid_dl
    assert turns.numpy().tolist() == [0, 1, 2, 3] * 2
    expected = np.stack([upright[i] for i in (3, 3, 3, 3, 1, 1, 1, 1)])
    np.testing.assert_allclose(x.numpy(), turned(expected, turns.numpy()), atol=1e-6)


def test_an_item_says_how_it_was_turned():
    sets = turned_photos(photos().split_by_idx([0]))
    seen = set()
    for _ in range(40):
        x, turn = sets.train[2]
        np.testing.assert_allclose(x, turned(photos()[3][None], np.array([turn.data]))[0])
        assert str(turn) == TURNS[turn.data]
        seen.add(turn.data)
    assert seen == {0, 1, 2, 3}
    part = sets.train[2:5]
    assert isinstance(part, TurnedList) and len(part) == 3 and part.y.codes.tolist() == [ANY] * 3
    assert "any,any,any" in repr(part)
    with pytest.raises(IndexError):
        sets.train[11]


def test_turned_photos_want_a_split():
    with pytest.raises(TypeError, match="lists that are split, .* got ImageList"):
        turned_photos(photos())


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"grid": 0}, ValueError, "grid must be at least 1, got 0"),
        ({"grid": 1.5}, TypeError, "grid must be an integer"),
        ({"stages": 3}, ValueError, "stages must be the channels .* got 3"),
        ({"stages": ()}, ValueError, r"stages must be the channels .* got \(\)"),
        ({"stages": (16, 32)}, ValueError, r"stages must be .* got \(16, 32\)"),
        ({"stages": ((16,), ())}, ValueError, "stages must be"),
        ({"stages": ((0,),)}, ValueError, "channels must be at least 1, got 0"),
    ],
)
def test_networks_that_cannot_be(options, kind, said):
    with pytest.raises(kind, match=f"^turn_network: .*{said}"):
        turn_network(**options)


def test_a_small_network_learns_which_side_is_up():
    data = turned_photos(photos(64).split_by_idx(range(16))).databunch(bs=16).normalize()
    mt.manual_seed(0)
    network = turn_network(((4,), (8,)))
    learn = Learner(data, network, metrics=accuracy, progress=False)
    learn.fit_one_cycle(6, 1e-2)
    assert learn.recorder.metrics[-1][0] > 0.9
    assert layers_before_pooling(network.features) == [2, 6]
    loss_func = FeatureLoss(network.features, [2, 6], [1, 1])
    x, _ = data.one_batch()
    assert loss_func(x, x).item() == 0 < loss_func(x, x.flip(2)).item()
