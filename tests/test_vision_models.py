"""The lesson's nets for pictures: names, order, numbers, sizes, and how they begin."""

import csv
from pathlib import Path

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner.summary import summarize
from minitorch7.vision.cifar_resnet import PairOfConvs, cifar_resnet
from minitorch7.vision.densenet import DenseNet, densenet
from minitorch7.vision.resnet import BasicBlock, ResNet, resnet18, resnet34
from minitorch7.vision.vgg import VGG, vgg16_bn

GOLDEN = Path(__file__).parent / "golden"


def count(model):
    return sum(p.data.size for p in model.parameters())


def pictures(n, *size, channels=3):
    rng = np.random.default_rng(0)
    return mt.tensor(rng.standard_normal((n, channels, *size)).astype("float32"))


@pytest.fixture(scope="module")
def thirty_four():
    mt.manual_seed(0)
    return resnet34()


# ----------------------------------------------------------------------------------------- resnet


def test_numbers_of_parameters(thirty_four):
    assert count(thirty_four) == 21_797_672
    assert count(resnet18()) == 11_689_512
    parts = dict(thirty_four.named_children())
    numbers = {"layer1": 221_952, "layer2": 1_116_416, "layer3": 6_822_400, "layer4": 13_114_368}
    assert {name: count(parts[name]) for name in numbers} == numbers
    body = list(thirty_four.children())[:-2]
    assert sum(map(count, body)) == 21_284_672
    norms = [m for m in thirty_four.modules() if isinstance(m, nn.BatchNorm2d)]
    assert sum(map(count, norms)) == 17_024


def test_children_and_keys_are_torchvisions(thirty_four):
    names = [name for name, _ in thirty_four.named_children()]
    stages = ["layer1", "layer2", "layer3", "layer4"]
    assert names == ["conv1", "bn1", "relu", "maxpool", *stages, "avgpool", "fc"]
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]

    def block(prefix, down):
        parts = ["conv1.weight", *(f"bn1.{k}" for k in norm), "conv2.weight"]
        parts += [f"bn2.{k}" for k in norm]
        parts += ["downsample.0.weight", *(f"downsample.1.{k}" for k in norm)] * down
        return [f"{prefix}.{part}" for part in parts]

    keys = ["conv1.weight", *(f"bn1.{k}" for k in norm)]
    for stage, blocks in zip(stages, (3, 4, 6, 3), strict=True):
        for i in range(blocks):
            keys += block(f"{stage}.{i}", down=i == 0 and stage != "layer1")
    assert list(thirty_four.state_dict()) == [*keys, "fc.weight", "fc.bias"]
    assert thirty_four.layer2[0].downsample[0].stride == (2, 2)


def test_rows_of_the_published_summary(thirty_four):
    """The encoder's 90 rows of the lesson's U-Net on pictures of 360 x 480."""
    body = nn.Sequential(*list(thirty_four.children())[:-2])
    rows = summarize(body, pictures(1, 360, 480)).rows
    with open(GOLDEN / "unet_camvid_summary.csv") as file:
        golden = list(csv.reader(file))[1 : len(rows) + 1]
    assert len(rows) == 90
    for row, (_, layer, shape, params, _) in zip(rows, golden, strict=True):
        shape = [1, *map(int, shape.split("x")[1:])]
        assert [row.layer, row.shape, row.params] == [layer, shape, int(params)], row


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (32, 32), (45, 60)])
def test_sizes_round_up(thirty_four, size):
    with nn.evaluating(thirty_four), mt.no_grad():
        x = pictures(1, *size)
        for layer in list(thirty_four.children())[:-2]:
            x = layer(x)
        assert x.shape == (1, 512, *(-(-n // 32) for n in size))
        assert thirty_four(pictures(1, *size)).shape == (1, 1000)


def test_resnet_is_its_children_one_after_another(thirty_four):
    x = pictures(2, 40, 33)
    with nn.evaluating(thirty_four), mt.no_grad():
        *body, pool, fc = thirty_four.children()
        features = nn.Sequential(*body)(x)
        mean = features.detach().numpy().mean((2, 3))
        expected = mean @ fc.weight.detach().numpy().T + fc.bias.detach().numpy()
        np.testing.assert_allclose(thirty_four(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_resnet_begins_by_fan_out(thirty_four):
    for name, module in thirty_four.named_modules():
        if isinstance(module, nn.Conv2d):
            w = module.weight.detach().numpy()
            expected = np.sqrt(2 / (w.shape[0] * w.shape[2] * w.shape[3]))
            assert abs(w.std() / expected - 1) < 6 / np.sqrt(w.size), name
            assert module.bias is None
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight.detach().numpy() == 1).all() and (
                module.bias.detach().numpy() == 0
            ).all(), name


def test_block_is_its_formula(backend):
    block = BasicBlock(2, 4, stride=2).eval()
    x = pictures(2, 5, 6, channels=2)
    by_hand = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    by_hand = block.relu(by_hand + block.downsample(x))
    y = block(x)
    assert y.shape == (2, 4, 3, 3) and np.array_equal(y.detach().numpy(), by_hand.detach().numpy())
    kept = BasicBlock(4, 4)
    assert kept.downsample is None and kept(y).shape == y.shape
    assert not any("downsample" in key for key in kept.state_dict())


def test_every_parameter_learns(backend):
    nets = {
        "resnet": ResNet((1, 1, 1, 1), 5),
        "vgg": VGG([[4], [6, 6]], 5, 8),
        "densenet": densenet(num_classes=5, blocks=(1, 2), nf=4),
    }
    for name, model in nets.items():
        x = pictures(2, 40, 33)
        (model(x) ** 2).sum().backward()
        for key, p in model.named_parameters():
            assert p.grad is not None and p.grad.shape == p.shape, (name, key)
        assert sum(float(abs(p.grad).sum().item()) > 0 for p in model.parameters()) > 6, name


def test_wrong_stages():
    with pytest.raises(ValueError, match="blocks of 4 stages"):
        ResNet((2, 2))
    with pytest.raises(ValueError, match="at least 1"):
        DenseNet((2, 0))


# -------------------------------------------------------------------------------------------- vgg


@pytest.fixture(scope="module")
def vgg():
    mt.manual_seed(0)
    return vgg16_bn()


def test_vgg_has_torchvisions_numbers_and_keys(vgg):
    assert count(vgg) == 138_365_992 and count(vgg.features) == 14_723_136
    assert [name for name, _ in vgg.named_children()] == ["features", "avgpool", "classifier"]
    kinds = [type(layer) for layer in vgg.features]
    assert len(kinds) == 44
    assert [i for i, k in enumerate(kinds) if k is nn.MaxPool2d] == [6, 13, 23, 33, 43]
    relus = [2, 5, 9, 12, 16, 19, 22, 26, 29, 32, 36, 39, 42]
    assert [i for i, k in enumerate(kinds) if k is nn.ReLU] == relus
    assert [i for i, k in enumerate(kinds) if k is nn.BatchNorm2d] == [i - 1 for i in relus]
    norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    keys = []
    for i in relus:
        keys += [f"features.{i - 2}.weight", f"features.{i - 2}.bias"]
        keys += [f"features.{i - 1}.{k}" for k in norm]
    keys += [f"classifier.{i}.{k}" for i in (0, 3, 6) for k in ("weight", "bias")]
    assert list(vgg.state_dict()) == keys
    assert [type(layer).__name__ for layer in vgg.classifier].count("Dropout") == 2


def test_vgg_features_where_the_loss_looks(vgg):
    x = pictures(1, 32, 48)
    found = {}
    with nn.evaluating(vgg), mt.no_grad():
        for i, layer in enumerate(vgg.features):
            x = layer(x)
            found[i] = x.shape
    assert [found[i] for i in (5, 12, 22, 32, 42)] == [
        (1, 64, 32, 48),
        (1, 128, 16, 24),
        (1, 256, 8, 12),
        (1, 512, 4, 6),
        (1, 512, 2, 3),
    ]


def test_vgg_begins_as_published(vgg):
    first, head = vgg.features[3].weight.detach().numpy(), vgg.classifier[3].weight.detach().numpy()
    assert abs(first.std() / np.sqrt(2 / (64 * 9)) - 1) < 0.03
    assert abs(head.std() / 0.01 - 1) < 0.01 and abs(head.mean()) < 1e-4
    for layer in (*vgg.features, *vgg.classifier):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert (layer.bias.detach().numpy() == 0).all()


def test_vgg_from_small_to_odd_pictures(backend):
    model = VGG([[4], [6, 6]], 5, 8).eval()
    for size in ((4, 4), (17, 30), (64, 64)):
        assert model(pictures(2, *size)).shape == (2, 5)


# --------------------------------------------------------------------------------------- densenet


def test_densenet_keeps_what_came_in(backend):
    """At the end of a stage its input stands in the last channels, untouched."""
    model = densenet(blocks=(2, 1), nf=4, num_classes=3).eval()
    x = model.stem(pictures(2, 9, 12))
    y = model.stage0(x)
    assert y.shape == (2, 16, 5, 6)
    np.testing.assert_array_equal(y.detach().numpy()[:, -4:], x.detach().numpy())
    down, dense = model.stage1[0], model.stage1[1]
    z = down(y)
    assert z.shape == (2, 8, 3, 3)
    np.testing.assert_array_equal(dense(z).detach().numpy()[:, -8:], z.detach().numpy())
    last = down[0](y).detach().numpy()[:, :, -1, :2].mean(-1)  # an odd last row is averaged alone
    np.testing.assert_allclose(z.detach().numpy()[:, :, -1, 0], last, rtol=1e-5, atol=1e-6)


def test_densenet_numbers_and_sizes():
    model = densenet()
    assert count(model) == 9_038_216
    assert [name for name, _ in model.named_children()] == [
        *("stem", "stage0", "stage1", "stage2", "stage3", "avgpool", "fc")
    ]
    body = nn.Sequential(*list(model.children())[:-2]).eval()
    for size in ((1, 1), (17, 33), (32, 32)):
        halved = tuple(-(-n // 16) for n in size)
        assert body(pictures(1, *size)).shape == (1, 1024, *halved)
        assert model.eval()(pictures(1, *size)).shape == (1, 1000)
    digits = densenet(num_classes=10, blocks=(1, 1), nf=8, ni=1)
    assert digits(pictures(2, 28, 28, channels=1)).shape == (2, 10)


def expected_dense(blocks, nf, classes):
    """The parameters, counted from the description."""
    total, width = 27 * nf + 2 * nf, nf
    for i, n in enumerate(blocks):
        start = nf * 2**i
        total += 0 if i == 0 else width * start + 2 * start
        width = start
        for _ in range(n):
            total += 2 * (9 * width**2 + 2 * width)
            width *= 2
    return total + width * classes + classes


@pytest.mark.parametrize("blocks,nf", [((1,), 3), ((2, 1), 4), ((1, 2, 1), 5)])
def test_densenet_parameters_from_the_description(blocks, nf):
    assert count(DenseNet(blocks, nf, 7)) == expected_dense(blocks, nf, 7)


def test_densenet_has_no_published_weights():
    with pytest.raises(FileNotFoundError, match="densenet: no weights are published"):
        densenet(pretrained=True)


# ----------------------------------------------------------------------------------- cifar_resnet

# convolutions and linear layer, then with batch norm's γ and β: counted from the paper's table
CIFAR = {20: (268_346, 269_722), 32: (461_882, 464_154), 44: (655_418, 658_586)}
CIFAR |= {56: (848_954, 853_018), 110: (1_719_866, 1_727_962)}


@pytest.mark.parametrize("depth", CIFAR)
def test_cifar_resnet_numbers_of_parameters(depth):
    for shortcuts in (False, True):  # option A: the shortcuts have none
        model = cifar_resnet(depth, shortcuts)
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        assert count(model) == CIFAR[depth][1]
        assert count(model) - sum(map(count, norms)) == CIFAR[depth][0]
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(layers) == depth


def test_cifar_resnet_with_and_without_shortcuts_begin_alike(backend):
    pair = []
    for shortcuts in (False, True):
        mt.manual_seed(3)
        pair.append(cifar_resnet(8, shortcuts, width=3, ni=1).state_dict())
    assert list(pair[0]) == list(pair[1])
    assert all((pair[0][k].data == pair[1][k].data).all() for k in pair[0])


@pytest.mark.parametrize("norm", [True, False])
def test_cifar_resnet_block_is_the_formula(backend, norm):
    """relu(body(x) + shortcut(x)); in a new stage every second pixel, and zeros as new channels."""
    x = pictures(2, 5, 6, channels=3)
    for ni, nf, stride in ((3, 3, 1), (3, 6, 2)):
        block = PairOfConvs(ni, nf, stride, norm=norm).eval()
        plain = PairOfConvs(ni, nf, stride, shortcut=False, norm=norm).eval()
        plain.load_state_dict(block.state_dict())
        body = block.body(x).detach().numpy()
        shortcut = np.zeros_like(body)
        shortcut[:, :ni] = x.numpy()[:, :, ::stride, ::stride]
        assert block(x).detach().numpy() == pytest.approx(np.maximum(body + shortcut, 0))
        assert plain(x).detach().numpy() == pytest.approx(np.maximum(body, 0))
        assert np.abs(shortcut).max() > 0


@pytest.mark.parametrize("side", [1, 4, 7, 14])
def test_cifar_resnet_takes_any_size(backend, side):
    model = cifar_resnet(8, width=2, num_classes=7, ni=1).eval()
    assert model(pictures(2, side, side, channels=1)).shape == (2, 7)


def test_cifar_resnet_without_norms_has_biases():
    model = cifar_resnet(8, width=2, norm=False)
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert all(not m.bias.data.any() for m in convs)


@pytest.mark.parametrize(("depth", "near"), [(21, "try 20 or 26"), (57, "try 56 or 62")])
def test_cifar_resnet_depth_is_6n_and_2(depth, near):
    with pytest.raises(ValueError, match=near):
        cifar_resnet(depth)
