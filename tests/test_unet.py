"""`DynamicUnet`: the published table, every size, gradients, groups, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn
from minitorch7.data import CAMVID_CODES, SegmentationItemList, imagenet_stats
from minitorch7.learner import Learner, groups
from minitorch7.vision import (
    DynamicUnet,
    UnetBlock,
    create_body,
    draw_unet,
    resnet18,
    resnet34,
    unet_learner,
    unet_stages,
    vgg16_bn,
)
from minitorch7.vision.body import first_convolution, output_shapes, outputs_of
from minitorch7.vision.unet import crossings_of

GOLDEN = Path(__file__).parent / "golden" / "unet_camvid_summary.csv"


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def small_encoder(channels: int = 3) -> nn.Sequential:
    """Three grids: H/2, H/4, H/8, of 3, 4 and 6 channels."""
    return nn.Sequential(
        nn.Conv2d(channels, 3, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
    )


def small_unet(n_classes: int = 2, channels: int = 3, **options: object) -> DynamicUnet:
    mt.manual_seed(0)
    return DynamicUnet(small_encoder(channels), n_classes, **{"norm_type": None, **options})


@pytest.fixture(scope="module")
def lesson() -> Learner:
    """The lesson's Learner for CamVid as the library then built it, frozen: 8 pictures 360×480."""
    pictures = np.zeros((9, 3, 360, 480), np.uint8)
    items = SegmentationItemList.from_arrays({"all": (pictures, np.arange(9))})
    split = items.split_by_idx([8])
    masks = split.label_from_func(lambda item: np.zeros((360, 480), np.uint8), classes=CAMVID_CODES)
    data = masks.databunch(bs=8).normalize(imagenet_stats)
    learn = unet_learner(data, resnet34, pretrained=False, bottle=True, lesson_time=True)
    learn.freeze()
    return learn


@pytest.fixture(scope="module")
def lessons_unet(lesson: Learner) -> DynamicUnet:
    return lesson.model


# ------------------------------------------------------------------------------ the published table


def test_summary_is_the_published_table_in_all_152_rows(lesson: Learner) -> None:
    with open(GOLDEN) as file:
        expected = list(csv.DictReader(file))
    summary = lesson.summary()
    found = [
        {
            "index": str(row.index),
            "layer": row.layer,
            "shape": "x".join(str(n) for n in row.shape),
            "params": str(row.params),
            "trainable": str(row.trainable),
        }
        for row in summary.rows
    ]
    assert len(found) == 152
    assert found == expected
    assert (summary.total, summary.trainable) == (41_133_018, 19_865_370)
    assert summary.non_trainable == 21_267_648


def test_layer_groups_are_the_lessons(lesson: Learner) -> None:
    parts = lesson.layer_groups
    counts = [sum(p.numel() for p in groups.group_parameters(part)) for part in parts]
    assert counts == [1_347_904, 19_936_768, 19_848_346]


@pytest.mark.parametrize(
    ("n_classes", "options", "total"),
    [
        (12, {"norm_type": None, "bottle": True}, 41_133_018),
        (12, {"norm_type": None}, 41_222_168),
        (3, {"norm_type": None}, 41_221_268),
        (3, {"norm_type": nn.NormType.Weight}, 41_229_213),
        (3, {"norm_type": nn.NormType.Weight, "self_attention": True}, 41_413_534),
        (12, {"norm_type": nn.NormType.Batch}, 41_230_122),
    ],
)
def test_totals_of_the_lessons_configurations(
    n_classes: int, options: dict, total: int, encoder: nn.Module
) -> None:
    assert count(DynamicUnet(encoder, n_classes, **options)) == total


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return create_body(resnet34, False)


def test_channels_of_the_blocks_are_the_lessons(encoder: nn.Module) -> None:
    model = DynamicUnet(encoder, 12, norm_type=None)
    blocks = [layer for layer in model if isinstance(layer, UnetBlock)]
    assert model.crossings == [2, 4, 5, 6]
    assert [block.out_channels for block in blocks] == [512, 384, 256, 96]
    assert [block.bn.num_features for block in blocks] == [256, 128, 64, 64]
    # conv, norm of the cross connection, two convolutions (LESSON 7's table of the decoder)
    assert [count(block) for block in blocks] == [5_245_440, 3_180_544, 1_475_968, 380_736]


# ------------------------------------------------------------------------------------- every size


def test_one_model_takes_every_size_from_17_to_64() -> None:
    model = DynamicUnet(create_body(resnet18, False), 5, norm_type=None, bottle=True).eval()
    with mt.no_grad():
        for n in range(17, 65):
            assert model(mt.randn(1, 3, n, n + n % 3)).shape == (1, 5, n, n + n % 3)


@pytest.mark.parametrize("n", range(17, 65))
def test_a_model_made_for_a_size_takes_it_and_learns_everywhere(n: int) -> None:
    model = small_unet(img_size=(n, n))
    y = model(mt.randn(2, 3, n, n))
    assert y.shape == (2, 2, n, n)
    (y * mt.randn(*y.shape)).sum().backward()
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in model.parameters() if p.ndim == 4)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels(channels: int) -> None:
    model = small_unet(channels=channels)
    assert model(mt.randn(2, channels, 18, 22)).shape == (2, 2, 18, 22)


def test_a_vgg_is_an_encoder_too() -> None:
    body = create_body(vgg16_bn, False)
    model = DynamicUnet(body, 3, img_size=(32, 32), norm_type=None)
    assert model.crossings == [5, 12, 22, 32, 42]
    assert model.eval()(mt.randn(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_an_encoder_with_a_forward_of_its_own() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.second = nn.Conv2d(3, 3, 3, stride=2, padding=1)
            self.first = nn.Conv2d(3, 3, 3, stride=2, padding=1)

        def forward(self, x: mt.Tensor) -> mt.Tensor:
            return self.second(self.first(x).relu())

    with pytest.raises(ValueError, match=r"must run in the order in which it holds them"):
        DynamicUnet(Odd(), 2)


# -------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_type": nn.NormType.Batch, "bottle": True},
        {"norm_type": nn.NormType.Weight, "blur": True, "y_range": (-2.0, 3.0)},
        {"norm_type": nn.NormType.Spectral, "self_attention": True, "last_cross": False},
    ],
)
def test_gradients_of_the_whole_network_are_those_of_finite_differences(options: dict) -> None:
    """Along random directions of all parameters and the picture at once, in float64."""
    mt.manual_seed(1)
    encoder = nn.Sequential(*small_encoder(), nn.Conv2d(6, 16, 3, stride=2, padding=1), nn.Tanh())
    model = DynamicUnet(encoder, 2, img_size=(17, 19), **{"norm_type": None, **options}).double()
    model.eval()  # spectral norm's u and v must stand still between two evaluations
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()  # batch norm's statistics depend on the picture: they are part of it
            module.momentum = 0.0
    rng = np.random.default_rng(2)
    for p in model.parameters():
        # biases, γ of attention: away from 0
        p.data += 0.1 * mt.tensor(rng.normal(size=p.shape)).data
    x = mt.tensor(rng.normal(size=(2, 3, 17, 19)), requires_grad=True)
    cotangent = mt.tensor(rng.normal(size=(2, 2, 17, 19)))
    leaves = [x, *model.parameters()]

    def loss() -> mt.Tensor:
        return (model(x) * cotangent).sum()

    grads = mt.grad(loss(), leaves)
    step = 1e-7  # so short that hardly any of the many ReLUs switches on the way
    for _ in range(3):
        directions = [rng.normal(size=t.shape) / np.sqrt(t.numel()) for t in leaves]
        values = []
        for sign in (1, -1):
            for t, d in zip(leaves, directions, strict=True):
                t.data += sign * step * mt.tensor(d).data
            values.append(loss().item())
            for t, d in zip(leaves, directions, strict=True):
                t.data -= sign * step * mt.tensor(d).data
        found = (values[0] - values[1]) / (2 * step)
        expected = sum(float((g.numpy() * d).sum()) for g, d in zip(grads, directions, strict=True))
        assert found == pytest.approx(expected, rel=2e-5, abs=1e-5)


def test_cross_connections_carry_gradients_now_and_did_not_at_lesson_time() -> None:
    def gradient_through_the_first_cross(lesson_time: bool) -> float:
        model = small_unet(lesson_time=lesson_time)
        for p in model[3].parameters():  # cut the way through the middle
            p.data[...] = 0
        model(mt.randn(2, 3, 16, 16)).sum().backward()
        return float(np.abs(model[0][0].weight.grad.numpy()).max())

    assert gradient_through_the_first_cross(False) > 0
    assert gradient_through_the_first_cross(True) == 0


# ---------------------------------------------------------------------------------------- options


def layers_of(model: nn.Module, kind: type) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, kind)]


def test_blur_goes_into_the_blocks_and_blur_final_into_the_last() -> None:
    assert len(layers_of(small_unet(), nn.AvgPool2d)) == 0
    blocks = [
        [len(layers_of(layer, nn.AvgPool2d)) for layer in model if isinstance(layer, UnetBlock)]
        for model in (small_unet(blur=True), small_unet(blur=True, blur_final=False))
    ]
    assert blocks == [[1, 1], [1, 0]]
    assert len(layers_of(small_unet(lesson_time=True), nn.AvgPool2d)) == 3  # the last doubling too


def test_attention_stands_in_the_third_block_from_the_top(encoder: nn.Module) -> None:
    model = DynamicUnet(encoder, 3, norm_type=None, self_attention=True)
    with_attention = [
        bool(layers_of(layer, nn.SelfAttention)) for layer in model if isinstance(layer, UnetBlock)
    ]
    assert with_attention == [False, True, False, False]
    (attention,) = layers_of(model, nn.SelfAttention)
    assert count(attention) == 184_321
    assert any(p is attention.gamma for p in model.parameters())


def test_attentions_gamma_was_lost_at_lesson_time(encoder: nn.Module) -> None:
    model = DynamicUnet(encoder, 3, norm_type=None, self_attention=True, lesson_time=True)
    (attention,) = layers_of(model, nn.SelfAttention)
    assert "gamma" in dict(attention.named_buffers())
    assert not any(p is attention.gamma for p in model.parameters())
    assert attention.gamma.item() == 0


def test_y_range_bounds_the_output() -> None:
    y = small_unet(y_range=(-1.0, 2.0))(100 * mt.randn(2, 3, 16, 16)).detach().numpy()
    assert y.min() >= -1 and y.max() <= 2


def test_last_cross_brings_the_picture_in() -> None:
    with_cross, without = small_unet(), small_unet(last_cross=False)
    assert len(layers_of(with_cross, nn.MergeLayer)) == 2
    assert len(layers_of(without, nn.MergeLayer)) == 0
    assert without(mt.randn(1, 3, 19, 21)).shape == (1, 2, 19, 21)


def test_nothing_outlives_a_call() -> None:
    model = small_unet()
    model(mt.randn(1, 3, 16, 16))
    assert not any(m._forward_hooks for m in model.modules())


def test_building_a_model_moves_no_statistics_and_no_mode() -> None:
    body = small_encoder()
    body[3].running_mean.data += 5
    body[1].eval()
    DynamicUnet(body, 2, norm_type=None)
    assert (body[3].running_mean.numpy() == 5).all()
    assert (body.training, body[1].training) == (True, False)


# ------------------------------------------------------------------------------------ the drawing


def test_the_drawing_knows_the_sizes_and_the_cross_connections(lessons_unet: DynamicUnet) -> None:
    stages = unet_stages(lessons_unet, (360, 480))
    with open(GOLDEN) as file:
        printed = {row["shape"] for row in csv.DictReader(file)}
    for stage in stages[1:]:
        assert "x".join(map(str, (8, *stage.shape))) in printed
    assert [s.floor for s in stages] == [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0, 0, 0, 0]
    crosses = [(s.cross, stages[s.cross].floor, s.floor) for s in stages if s.cross is not None]
    assert crosses == [(4, 4, 4), (3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 0, 0)]
    texts = [t.get_text() for t in draw_unet(lessons_unet, (360, 480)).axes[0].texts]
    assert "512\n12×15" in texts and "99\n360×480" in texts


def test_only_a_unet_is_drawn_as_one() -> None:
    with pytest.raises(TypeError, match="unet_stages: needs a DynamicUnet, got Sequential"):
        unet_stages(nn.Sequential(nn.Conv2d(3, 3, 1)))


# ---------------------------------------------------------------------------------- what is refused


def test_an_encoder_that_never_shrinks_is_refused() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    with pytest.raises(ValueError, match=r"grid of Sequential never shrinks: its 2 children all"):
        DynamicUnet(flat, 2)


def test_a_head_left_on_the_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Flatten gave .* must give grids"):
        DynamicUnet(nn.Sequential(*small_encoder(), nn.Flatten()), 2)


def test_an_encoder_without_convolutions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no Conv2d in Sequential"):
        DynamicUnet(nn.Sequential(nn.MaxPool2d(2)), 2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((resnet18, 3), {}, TypeError, "encoder must be a Module, got resnet18; create_body"),
        ((None, 0), {}, ValueError, "n_classes must be at least 1, got 0"),
        ((None, 2.5), {}, TypeError, "n_classes must be an integer, got 2.5"),
        ((None, 3), {"img_size": 64}, TypeError, r"two whole numbers \(rows, columns\), got 64"),
        ((None, 3), {"img_size": (64.0, 64)}, TypeError, "img_size must be an integer"),
        ((None, 3), {"y_range": 5}, TypeError, r"y_range must be two numbers \(low, high\), got 5"),
        ((None, 3), {"self_attention": True}, ValueError, "this encoder has 2 cross connections"),
    ],
)
def test_nonsense_is_explained(
    arguments: tuple, options: dict, error: type[Exception], said: str
) -> None:
    encoder, *rest = arguments
    with pytest.raises(error, match=said):
        DynamicUnet(small_encoder() if encoder is None else encoder, *rest, **options)


def test_a_sequential_is_a_body_already() -> None:
    body = small_encoder()
    assert create_body(body) is body
    with pytest.raises(TypeError, match="create_body: cut must be an integer, got 'a'"):
        create_body(resnet18, False, cut="a")


def test_create_body_says_what_it_needs() -> None:
    with pytest.raises(TypeError, match="arch must be a function"):
        create_body("resnet34")
    with pytest.raises(ValueError, match="cut=0 leaves nothing"):
        create_body(small_encoder(), cut=0)


def test_create_body_cuts_where_it_is_told() -> None:
    assert len(create_body(resnet18, False)) == 8
    assert len(create_body(small_encoder(), cut=3)) == 3
    assert len(create_body(small_encoder(), cut=-1)) == 5


def test_outputs_of_sees_what_each_layer_gave() -> None:
    body = small_encoder()
    x = mt.randn(1, 3, 8, 8)
    with outputs_of([body[0], body[2]]) as found:
        assert found == [None, None]
        body(x)
    np.testing.assert_array_equal(found[0].detach().numpy(), body[0](x).detach().numpy())
    assert found[1].shape == (1, 4, 2, 2)


def test_sizes_where_the_grid_changes() -> None:
    assert crossings_of([(8, 8), (8, 8), (4, 4), (2, 2)]) == [1, 2]
    assert crossings_of([(8, 8), (8, 4)]) == [0]
    assert crossings_of([(8, 8)]) == []
    assert output_shapes([first_convolution(small_encoder())] * 0, small_encoder(), (8, 8)) == []


def test_cross_entropy_of_a_unet_falls(backend: str) -> None:
    """A few steps on one batch, on either backend."""
    model, opt = small_unet(n_classes=3), None
    model.to(backend)
    opt = mt.optim.AdamW(model.parameters(), lr=1e-2)
    x = mt.randn(2, 3, 17, 20)
    y = mt.tensor(np.random.default_rng(0).integers(0, 3, (2, 17, 20)))
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(model(x), y)
        losses.append(loss.item())
        loss.backward()
        opt.step()
        opt.zero_grad()
    assert losses[-1] < losses[0]
