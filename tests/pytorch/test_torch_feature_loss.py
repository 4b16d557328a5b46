"""The feature loss beside the same formula in PyTorch, with the same VGG weights; SSIM likewise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7.learner.quality import psnr, sharpness, ssim
from minitorch7.vision.feature_loss import FeatureLoss, layers_before_pooling
from minitorch7.vision.vgg import VGG

from . import vision_models as theirs
from .comparing import torch

STAGES = ((4, 4), (6, 6), (8, 8, 8))
WEIGHTS = [5.0, 15.0, 2.0]
tF = torch.nn.functional


def pictures(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def loss_in_pytorch(layers: Any, ids: list[int], x: Any, y: Any, base: Any) -> dict[str, Any]:
    """The lesson's terms, with hooks as the lesson has them."""
    kept: list[Any] = []
    handles = [layers[i].register_forward_hook(lambda m, a, out: kept.append(out)) for i in ids]
    with torch.no_grad():
        layers(y)
    wanted = [t.clone() for t in kept]
    kept.clear()
    layers(x)
    for handle in handles:
        handle.remove()

    def gram(t: Any) -> Any:
        return torch.einsum("nchw,ndhw->ncd", t, t) / t[0].numel()

    terms = {"pixel": base(x, y)}
    for i, (w, a, b) in enumerate(zip(WEIGHTS, kept, wanted, strict=True)):
        terms[f"feat_{i}"] = base(a, b) * w
    for i, (w, a, b) in enumerate(zip(WEIGHTS, kept, wanted, strict=True)):
        terms[f"gram_{i}"] = base(gram(a), gram(b)) * w**2 * 5e3
    return terms


@pytest.mark.parametrize("base", ["l1_loss", "mse_loss"])
@pytest.mark.parametrize("size", [(16, 16), (19, 22)])
def test_value_terms_and_gradient(base: str, size: tuple[int, int]) -> None:
    model = theirs.lived_in(theirs.VGG(STAGES, 2, 3)).double()
    layers = model.features.eval().requires_grad_(False)
    ours = VGG(STAGES, 2, 3).double()
    ours.load_state_dict({k: t.numpy() for k, t in model.state_dict().items()})
    ids = layers_before_pooling(ours.features)
    assert ids == [5, 12, 22]
    loss_func = FeatureLoss(ours.features, ids, WEIGHTS, getattr(mt.functional, base))
    x, y = pictures(1, 2, 3, *size), pictures(2, 2, 3, *size)

    mine = mt.tensor(x, requires_grad=True)
    found = loss_func(mine, mt.tensor(y))
    found.backward()
    other = torch.tensor(x, requires_grad=True)
    terms = loss_in_pytorch(layers, ids, other, torch.tensor(y), getattr(tF, base))
    expected = sum(terms.values())
    expected.backward()

    assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    assert list(loss_func.metrics) == list(terms)
    for name, term in terms.items():
        assert loss_func.metrics[name].item() == pytest.approx(term.item(), rel=1e-9), name
    gradient = other.grad.numpy()
    np.testing.assert_allclose(
        mine.grad.numpy(), gradient, rtol=0, atol=1e-9 * np.abs(gradient).max()
    )


def test_quality_by_convolutions() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((2, 3, 24, 31))
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
    x, y = torch.tensor(a), torch.tensor(b)
    np.testing.assert_allclose(
        psnr(a, b), -10 * torch.log10(((x - y) ** 2).flatten(1).mean(1)).numpy(), rtol=1e-12
    )

    gauss = torch.exp(-((torch.arange(11.0, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(gauss, gauss)
    window = (window / window.sum()).expand(3, 1, 11, 11)

    def mean(t: Any) -> Any:
        return tF.conv2d(t, window, groups=3)

    mx, my = mean(x), mean(y)
    var = mean(x * x) - mx**2 + mean(y * y) - my**2
    cov = mean(x * y) - mx * my
    value = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (var + 9e-4))
    np.testing.assert_allclose(ssim(a, b), value.flatten(1).mean(1).numpy(), rtol=1e-9)

    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype).view(3, 1, 1)
    luma = (x * weights).sum(1, keepdim=True)
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double() / 8
    slopes = tF.conv2d(luma, torch.stack([sobel, sobel.T])[:, None])
    expected = (slopes**2).sum(1).flatten(1).mean(1).sqrt().numpy()
    np.testing.assert_allclose(sharpness(a), expected, rtol=1e-10)
