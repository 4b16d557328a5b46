"""PSNR, SSIM and sharpness against loops of their formulas, and the metrics made of them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learner_toy import ToyLoader

import minitorch7 as mt
from minitorch7 import backend as libraries
from minitorch7 import nn
from minitorch7.learner import Learner
from minitorch7.learner.metrics import WeightedMeans
from minitorch7.learner.quality import PSNR, SSIM, psnr, sharpness, ssim

MEAN, STD = np.float32(0.45), np.float32(0.25)


def pictures(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).random(shape).astype(dtype)


def on(backend, *arrays):
    return [libraries.to(array, backend) for array in arrays]


def host(array):
    return libraries.to_numpy(array)


def blurred(x, times=1):
    """3×3 means, the edge repeated."""
    for _ in range(times):
        wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        h, w = x.shape[2:]
        x = sum(wide[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
    return x


# ------------------------------------------------------------------------------------------- psnr


def psnr_by_loops(a, b, peak=1.0):
    found = []
    for one, other in zip(a, b, strict=True):
        total = 0.0
        for place in np.ndindex(one.shape):
            total += (float(one[place]) - float(other[place])) ** 2
        found.append(10 * math.log10(peak**2 / (total / one.size)))
    return found


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (3, 4, 9, 9)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    peak=st.sampled_from([1.0, 2.0, 255.0]),
    seed=st.integers(0, 999),
)
def test_psnr_is_its_formula(shape, dtype, peak, seed):
    a, b = pictures(*shape, seed=seed, dtype=dtype), pictures(*shape, seed=seed + 1, dtype=dtype)
    found = psnr(a, b, peak)
    assert found.shape == shape[:1]
    np.testing.assert_allclose(found, psnr_by_loops(a, b, peak), rtol=1e-12)


def test_psnr_of_known_errors(backend):
    a, b = on(backend, pictures(2, 3, 5, 6), pictures(2, 3, 5, 6))
    b[0] += 0.1  # 10·log₁₀(1 / 0.01)
    b[1] -= 0.01
    np.testing.assert_allclose(host(psnr(a, b)), [20, 40])
    np.testing.assert_allclose(host(psnr(255 * a, 255 * b, 255)), [20, 40])
    assert host(psnr(a, a)).tolist() == [np.inf, np.inf]


# ------------------------------------------------------------------------------------------- ssim


def ssim_by_loops(a, b, peak=1.0):
    """Window by window; the definition of scikit-image's with gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False."""
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    n, c, h, w = a.shape
    found = np.zeros((n, c, h - 10, w - 10))
    for k, ch, i, j in np.ndindex(found.shape):
        x, y = (t[k, ch, i : i + 11, j : j + 11].astype(float) for t in (a, b))
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
        cov = (window * (x - mx) * (y - my)).sum()
        found[k, ch, i, j] = (2 * mx * my + c1) * (2 * cov + c2)
        found[k, ch, i, j] /= (mx**2 + my**2 + c1) * (vx + vy + c2)
    return found.mean((1, 2, 3))


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 2),
    c=st.integers(1, 3),
    h=st.integers(11, 15),
    w=st.integers(11, 15),
    dtype=st.sampled_from([np.float32, np.float64]),
    peak=st.sampled_from([1.0, 255.0]),
    seed=st.integers(0, 999),
)
def test_ssim_is_its_formula(n, c, h, w, dtype, peak, seed):
    a = (peak * pictures(n, c, h, w, seed=seed)).astype(dtype)
    noise = peak * (pictures(n, c, h, w, seed=seed + 1) - 0.5)
    b = (a + 0.3 * noise).astype(dtype)
    found = ssim(a, b, peak)
    assert found.shape == (n,)
    np.testing.assert_allclose(found, ssim_by_loops(a, b, peak), rtol=1e-9)


def test_ssim_of_flat_pictures_is_the_term_for_light(backend):
    a, b = on(backend, np.full((1, 3, 12, 13), 0.3), np.full((1, 3, 12, 13), 0.6))
    expected = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(host(ssim(a, b)), [expected])


def test_ssim_of_equal_turned_and_inverted_pictures(backend):
    a, b = on(backend, pictures(2, 3, 20, 24), pictures(2, 3, 20, 24, seed=5))
    np.testing.assert_allclose(host(ssim(a, a)), [1, 1])
    np.testing.assert_allclose(host(ssim(a, b)), host(ssim(b, a)))
    np.testing.assert_allclose(host(ssim(a[:, :, ::-1], b[:, :, ::-1])), host(ssim(a, b)))
    assert (host(ssim(a, 1 - a)) < -0.8).all()  # where one is bright the other is dark


def test_ssim_forgives_a_shift_of_light_that_psnr_does_not():
    a = blurred(pictures(1, 3, 32, 32), 2)
    noise = pictures(*a.shape, seed=3) - 0.5
    noise *= 0.05 / np.sqrt((noise**2).mean())
    lighter, noisy = a + 0.05, a + noise
    np.testing.assert_allclose(psnr(a, lighter), psnr(a, noisy))
    assert ssim(a, lighter)[0] > 0.97 > 0.8 > ssim(a, noisy)[0]


# -------------------------------------------------------------------------------------- sharpness


def sharpness_by_loops(x):
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    found = []
    for picture in x:
        y = picture[0]
        if len(picture) == 3:
            y = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
        squares = [
            (across * y[i : i + 3, j : j + 3]).sum() ** 2
            + (across.T * y[i : i + 3, j : j + 3]).sum() ** 2
            for i in range(y.shape[0] - 2)
            for j in range(y.shape[1] - 2)
        ]
        found.append(math.sqrt(sum(squares) / len(squares)))
    return found


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 3),
    c=st.sampled_from([1, 3]),
    h=st.integers(3, 9),
    w=st.integers(3, 9),
    seed=st.integers(0, 999),
)
def test_sharpness_is_its_formula(n, c, h, w, seed):
    x = pictures(n, c, h, w, seed=seed)
    np.testing.assert_allclose(sharpness(x), sharpness_by_loops(x), rtol=1e-10)


def test_sharpness_of_a_ramp_is_its_slope(backend):
    rows, columns = np.mgrid[:9, :12]
    ramps = np.stack([0.05 * columns, 0.03 * rows + 0.04 * columns])[:, None]
    (x,) = on(backend, np.repeat(ramps, 3, axis=1))
    np.testing.assert_allclose(host(sharpness(x)), [0.05, 0.05])
    np.testing.assert_allclose(host(sharpness(x + 0.2)), host(sharpness(x)))


def test_blurring_lowers_sharpness_though_an_edge_rises_as_much():
    edge = np.zeros((1, 1, 24, 24))
    edge[..., 12:] = 1
    values = [sharpness(blurred(edge, times))[0] for times in range(5)]
    assert all(later < 0.95 * earlier for earlier, later in zip(values, values[1:], strict=False))
    rises = [np.abs(np.diff(blurred(edge, times))).mean() for times in range(5)]
    np.testing.assert_allclose(rises, rises[0])  # a mean without the square would see no blur
    texture = pictures(2, 3, 20, 20)
    assert (sharpness(blurred(texture)) < 0.6 * sharpness(texture)).all()


# ----------------------------------------------------------------------------------------- errors


def test_what_is_not_a_picture_is_named():
    a = pictures(2, 3, 12, 12)
    with pytest.raises(TypeError, match=r"psnr: b must be an array .* got Tensor; .* t\.data"):
        psnr(a, mt.tensor(a))
    with pytest.raises(TypeError, match="ssim: a must hold floats .* got uint8; divide bytes"):
        ssim((255 * a).astype(np.uint8), a)
    with pytest.raises(ValueError, match=r"psnr: .* one shape .* \(2, 3, 12, 12\) and \(1, 3, 12"):
        psnr(a, a[:1])
    with pytest.raises(ValueError, match=r"ssim: a must be .* at least 11 pixels .* \(2, 3, 10"):
        ssim(a[:, :, :10], a[:, :, :10])
    with pytest.raises(ValueError, match=r"sharpness: x must be .* at least 3 pixels"):
        sharpness(a[..., :2])
    with pytest.raises(ValueError, match=r"sharpness: .* 1 channel or 3 .* \(2, 2, 12, 12\)"):
        sharpness(a[:, :2])
    with pytest.raises(ValueError, match=r"psnr: a must be pictures \(N, C, H, W\), got"):
        psnr(a[0], a[0])
    with pytest.raises(ValueError, match=r"psnr: a must be pictures .* got shape \(0, 3"):
        psnr(a[:0], a[:0])
    with standin.installed(), pytest.raises(mt.BackendError):
        psnr(a, libraries.to(a, "cupy"))


@pytest.mark.parametrize("peak", [0, -1, "1", None, np.nan, np.inf])
@pytest.mark.parametrize("measure", [psnr, ssim])
def test_peaks_that_are_no_value_of_white(measure, peak):
    a = pictures(1, 1, 12, 12)
    with pytest.raises(ValueError, match=f"{measure.__name__}: peak must be a number above 0, got"):
        measure(a, a, peak)


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_metrics_need_tensors(metric):
    a, quality = pictures(1, 3, 12, 12), metric(PictureData())
    with pytest.raises(TypeError, match=f"{metric.__name__}: pred must be a Tensor, got ndarray"):
        quality(a, mt.tensor(a))
    with pytest.raises(TypeError, match=f"{metric.__name__}: target must be a Tensor, got None"):
        quality(mt.tensor(a), None)


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_metrics_need_data_that_can_denormalise(metric):
    with pytest.raises(TypeError, match=rf"{metric.__name__}: data must have denorm_y, .* got str"):
        metric("photos")


# ---------------------------------------------------------------------------------------- metrics


class PictureData:
    """Noisy pictures to be cleaned: what a Learner asks of a DataBunch."""

    loss_func = nn.MSELossFlat()
    test_dl = None

    def __init__(self, n_train=8, n_valid=7, batch_size=4, side=12):
        y = blurred(pictures(n_train + n_valid, 3, side, side, seed=1))
        x = y + 0.2 * (pictures(*y.shape, seed=2) - 0.5)
        self.y = y.astype(np.float32)
        x, y = (((t - MEAN) / STD).astype(np.float32) for t in (x, y))
        self.train_dl = ToyLoader(x[:n_train], y[:n_train], batch_size, shuffle=True)
        self.fix_dl = ToyLoader(x[:n_train], y[:n_train], batch_size)
        self.valid_dl = ToyLoader(x[n_train:], y[n_train:], batch_size)

    def denorm_y(self, y):
        return y * STD + MEAN


def test_metrics_undo_the_scale_and_clip(backend):
    data = SimpleNamespace(denorm_y=lambda y: y * STD + MEAN)
    target = pictures(3, 3, 14, 12)
    pred = target + 0.4 * (pictures(3, 3, 14, 12, seed=4) - 0.5)
    a, b = (mt.tensor(((t - MEAN) / STD).astype(np.float32)) for t in (pred, target))
    clipped = pred.clip(0, 1)
    assert (clipped != pred).any()
    for metric, measure in ((PSNR(data), psnr), (SSIM(data), ssim)):
        found = metric(a, b)
        assert found.shape == () and (backend == "numpy" or libraries.name_of(found) == backend)
        assert float(found) == pytest.approx(measure(clipped, target).mean(), rel=1e-5)


def test_metrics_do_not_wait_for_the_device():
    data = SimpleNamespace(denorm_y=lambda y: y * 0.25 + 0.45)
    with standin.installed(), mt.using("cupy"):
        a, b = mt.randn(2, 3, 12, 12), mt.randn(2, 3, 12, 12)
        means = WeightedMeans()
        with standin.no_sync():
            means.add([PSNR(data)(a, b), SSIM(data)(a, b)], 2)
        assert 0 < means.read()[0] < 30


def test_a_learner_averages_over_pictures():
    data = PictureData()
    mt.manual_seed(0)
    learn = Learner(
        data, nn.Conv2d(3, 3, 3, padding=1), metrics=[PSNR(data), SSIM(data)], progress=False
    )
    learn.fit(1, 1e-3)
    assert learn.recorder.names[3:5] == ["psnr", "ssim"]
    answers = np.concatenate([learn.pred_batch((x, y), True) for x, y in data.valid_dl.batches(0)])
    targets = data.y[8:]
    expected = [psnr(answers, targets).mean(), ssim(answers, targets).mean()]
    np.testing.assert_allclose(learn.recorder.metrics[-1], expected, rtol=1e-4)
