"""ResNets and VGG nets beside PyTorch's, with weights that PyTorch has written to a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.pth import WeightsError, read_pth
from minitorch7.vision import resnet, vgg
from minitorch7.vision.pretrained import pretrain

from . import vision_models as theirs
from .comparing import torch

SMALL = ((4, 4), (6, 6), (8, 8, 8))


def write(model: Any, path: Path) -> Path:
    """The model's state as a file of one of three kinds, by the path's end."""
    state = model.state_dict()
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    else:
        zipped = not path.name.endswith(".old.pth")
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
    return path


def close(ours: Any, expected: Any, what: str) -> None:
    """Within 1e-4 of the largest element."""
    ours, expected = ours.detach().numpy(), expected.detach().numpy()
    assert ours.shape == expected.shape, what
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * scale, err_msg=what)


def pictures(n: int, *size: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, 3, *size)).astype("float32")


def same_behaviour(ours: nn.Module, model: Any, x: np.ndarray) -> None:
    """Evaluation, a pass in training mode, and the running statistics after it."""
    with torch.no_grad(), mt.no_grad():
        close(ours.eval()(mt.tensor(x)), model.eval()(torch.tensor(x)), "evaluation")
        close(ours.train()(mt.tensor(x)), model.train()(torch.tensor(x)), "training")
    for key, expected in model.state_dict().items():
        close(ours.state_dict()[key], expected, f"{key} after training")
    close(ours.eval()(mt.tensor(x)), model.eval()(torch.tensor(x)), "evaluation afterwards")


@pytest.mark.parametrize(
    "name,layers,file",
    [
        ("resnet18", (2, 2, 2, 2), "w.pth"),
        ("resnet18", (2, 2, 2, 2), "w.safetensors"),
        ("resnet34", (3, 4, 6, 3), "w.old.pth"),
    ],
)
def test_resnet(name: str, layers: tuple[int, ...], file: str, tmp_path: Path) -> None:
    model = theirs.lived_in(theirs.ResNet(layers))
    path = write(model, tmp_path / file)
    ours = getattr(resnet, name)(pretrained=path)
    assert list(ours.state_dict()) == list(model.state_dict())
    same_behaviour(ours, model, pictures(3, 48, 64))


@pytest.mark.parametrize("file", ["w.pth", "w.old.pth", "w.safetensors"])
def test_vgg(file: str, tmp_path: Path) -> None:
    model = theirs.lived_in(theirs.VGG(SMALL, 10, 16))
    path = write(model, tmp_path / file)
    ours = pretrain(vgg.VGG(SMALL, 10, 16), "vgg16_bn", path)
    assert list(ours.state_dict()) == list(model.state_dict())
    for dropout in (ours.classifier[2], ours.classifier[5]):
        dropout.p = 0.0
    model.classifier[2].p = model.classifier[5].p = 0.0
    same_behaviour(ours, model, pictures(3, 37, 50))


def test_gradients_of_a_resnet(tmp_path: Path) -> None:
    """In float64, so that only the formulas can differ."""
    model = theirs.lived_in(theirs.ResNet((1, 1, 1, 1), 6)).double()
    ours = resnet.ResNet((1, 1, 1, 1), 6).double()
    ours.load_state_dict({k: t.numpy() for k, t in model.state_dict().items()})
    x = pictures(2, 40, 50).astype("float64")
    weight = np.random.default_rng(2).standard_normal((2, 6))
    a, b = mt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (ours(a) * mt.tensor(weight)).sum().backward()
    (model(b) * torch.tensor(weight)).sum().backward()
    pairs = {
        k: (p.grad, dict(model.named_parameters())[k].grad) for k, p in ours.named_parameters()
    }
    for key, (found, expected) in {**pairs, "x": (a.grad, b.grad)}.items():
        found, expected = found.numpy(), expected.numpy()
        np.testing.assert_allclose(
            found, expected, rtol=0, atol=1e-9 * np.abs(expected).max(), err_msg=key
        )


# ---------------------------------------------------------------------- PyTorch's files themselves


def odd_tensors() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "base": base,
        "part": base[1:, ::2],
        "across": base.t(),
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(3, 2).bfloat16(),
        "double": torch.randn(2).double(),
        "long": torch.tensor(2**40),
        "int": torch.tensor([1, -1], dtype=torch.int32),
        "short": torch.tensor([1, -1], dtype=torch.int16),
        "char": torch.tensor([1, -1], dtype=torch.int8),
        "byte": torch.tensor([200], dtype=torch.uint8),
        "bool": torch.tensor([[True], [False]]),
        "nothing": torch.empty(0, 3),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_all_dtypes_and_protocols(protocol: int, zipped: bool, tmp_path: Path) -> None:
    tensors = odd_tensors()
    path = tmp_path / "w.pth"
    torch.save(tensors, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_pth(path)
    assert list(found) == list(tensors)
    for key, t in tensors.items():
        expected = (t.detach().float() if t.dtype == torch.bfloat16 else t.detach()).numpy()
        assert found[key].dtype == expected.dtype, key
        np.testing.assert_array_equal(found[key], expected)
    assert np.shares_memory(found["base"], found["across"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_training_checkpoint(zipped: bool, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    state = {"epoch": 3, "arch": "tiny", "state_dict": model.state_dict()}
    state["optimizer"] = optimizer.state_dict()
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.warns(UserWarning, match="under 'state_dict'"):
        found = read_pth(path)
    assert list(found) == list(model.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_whole_modules_and_programs_are_refused(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="asks for torch.nn.modules.linear.Linear.*state_dict"):
        read_pth(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, that programs are going out of fashion
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(WeightsError, match="TorchScript"):
        read_pth(path)


def test_expanded_and_sparse_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1).expand(1000)}, path)
    with pytest.raises(WeightsError, match="'a'.*outside its storage of 1 number"):
        read_pth(path)
    torch.save({"a": torch.eye(3).to_sparse()}, path)
    with pytest.raises(WeightsError, match="_rebuild_sparse_tensor|_get_layout"):
        read_pth(path)
