"""`unet_learner`: data in, a Learner out: groups, freezing, weights of a file, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.data import (
    DataBunch,
    DataError,
    ImageList,
    LabelLists,
    SegmentationItemList,
    get_transforms,
    imagenet_stats,
)
from minitorch7.learner import (
    CheckpointError,
    Learner,
    MeanIoU,
    acc_camvid,
    segmentation_confusion,
)
from minitorch7.learner.groups import is_norm
from minitorch7.vision import DynamicUnet, WeightsError, resnet18, unet_learner


def squares(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of noise with a bright square, and masks that say where: class 1, the rest 0."""
    images = rng.integers(0, 60, (n, 3, 24, 32), dtype=np.uint8)
    masks = np.zeros((n, 24, 32), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        row, column = rng.integers(0, 12), rng.integers(0, 20)
        image[:, row : row + 12, column : column + 12] += 180
        mask[row : row + 12, column : column + 12] = 1
    return images, masks


@pytest.fixture(scope="module")
def data() -> DataBunch:
    rng = np.random.default_rng(0)
    images, masks = squares(24, rng)
    items = SegmentationItemList.from_arrays({"all": (images, np.arange(24))})
    by_item = {item: masks[int(item.parent.name)] for item in items.items}
    split = items.split_by_idx(range(16, 24))
    labelled = split.label_from_func(by_item.__getitem__, classes=["ground", "square"])
    return labelled.databunch(bs=4).normalize(imagenet_stats)


def learner(data: DataBunch, **options: object) -> Learner:
    mt.manual_seed(0)
    arguments = {"pretrained": False, "progress": False, **options}
    return unet_learner(data, resnet18, **arguments)


def test_the_data_says_classes_size_and_loss(data: DataBunch) -> None:
    learn = learner(data)
    x, y = data.one_batch()
    assert isinstance(learn.model, DynamicUnet)
    scores = learn.model(x)
    assert (x.shape, y.shape, scores.shape) == ((4, 3, 24, 32), (4, 1, 24, 32), (4, 2, 24, 32))
    log_p = scores.detach().numpy() - np.log(np.exp(scores.detach().numpy()).sum(1, keepdims=True))
    expected = -np.take_along_axis(log_p, y.numpy(), axis=1).mean()
    assert learn.loss_func(scores, y).item() == pytest.approx(expected, rel=1e-5)


def test_it_learns_where_the_squares_are(data: DataBunch) -> None:
    learn = learner(data, metrics=acc_camvid)
    _, before = learn.validate()
    learn.fit_one_cycle(3, 2e-3)
    assert before < 0.9 < 0.97 < learn.recorder.metrics[-1][0]


def test_groups_begin_at_the_third_stage_and_at_the_decoder(data: DataBunch) -> None:
    learn = learner(data)
    body = learn.model[0]
    firsts = [{id(m) for m in group} for group in learn.layer_groups]
    assert len(firsts) == 3
    assert id(body[5]) in firsts[0] and id(body[6]) in firsts[1]
    assert id(body[7]) in firsts[1] and id(learn.model[1]) in firsts[2]


def test_a_slice_gives_each_group_its_rate(data: DataBunch) -> None:
    learn = learner(data)
    learn.create_opt(slice(1e-5, 1e-3))
    rates = {group["layer_group"]: group["lr"] for group in learn.opt.param_groups}
    assert rates == pytest.approx({0: 1e-5, 1: 1e-4, 2: 1e-3})


def test_frozen_the_encoder_keeps_its_weights_but_not_its_norms(data: DataBunch) -> None:
    learn = learner(data)
    learn.freeze()
    before = {k: v.data.copy() for k, v in learn.model.state_dict().items()}
    learn.fit(1, 1e-3)
    after = learn.model.state_dict()
    encoder = learn.model[0]
    for name, module in encoder.named_modules():
        for kind in ("weight", "bias", "running_mean", "running_var"):
            value = getattr(module, kind, None)
            if not isinstance(value, mt.Tensor):
                continue
            changed = bool((before[f"0.{name}.{kind}"] != value.data).any())
            assert changed == is_norm(module), (name, kind)
    assert any((before[k] != after[k].data).any() for k in before if k.startswith("4."))
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())


def test_weights_of_a_file_are_loaded_and_frozen(data: DataBunch, tmp_path: Path) -> None:
    mt.manual_seed(3)
    source = resnet18()
    file = tmp_path / "resnet18.safetensors"
    kept = {k: np.array(v.detach().numpy(), order="C") for k, v in source.state_dict().items()}
    save_file(kept, file)
    learn = learner(data, pretrained=file)
    for loaded, there in (
        (learn.model[0][0], source.conv1),
        (learn.model[0][7][1].conv2, source.layer4[1].conv2),
    ):
        np.testing.assert_array_equal(loaded.weight.detach().numpy(), there.weight.detach().numpy())
    frozen = [m for m in learn.model[0].modules() if isinstance(m, nn.Conv2d)]
    assert not any(m.weight.requires_grad for m in frozen)
    assert all(
        p.requires_grad for m in learn.model[0].modules() if is_norm(m) for p in m.parameters()
    )
    assert all(p.requires_grad for p in learn.model[3].parameters())


def test_weights_of_another_architecture_are_refused(data: DataBunch, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    other = nn.Sequential(nn.Linear(2, 3))
    save_file({k: v.detach().numpy() for k, v in other.state_dict().items()}, file)
    with pytest.raises(WeightsError, match="other.safetensors"):
        learner(data, pretrained=file)


def test_pictures_with_other_channels_are_refused() -> None:
    rng = np.random.default_rng(0)
    images, masks = squares(8, rng)
    items = SegmentationItemList.from_arrays({"all": (images[:, 0], np.arange(8))})
    by_item = {item: masks[int(item.parent.name)] for item in items.items}
    labelled = items.split_by_idx([6, 7]).label_from_func(by_item.__getitem__, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"have 1 channels, but the first .* resnet18 expects 3"):
        learner(labelled.databunch(bs=2))


def test_another_encoder_has_two_groups(data: DataBunch) -> None:
    mt.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, padding=1)
    )
    learn = unet_learner(data, body, progress=False)  # as it is, and not frozen
    assert learn.model[0] is body
    assert all(p.requires_grad for p in learn.model.parameters())
    assert len(learn.layer_groups) == 2
    learn.fit(1, 1e-3)


def test_a_saved_unet_comes_back(data: DataBunch, tmp_path: Path) -> None:
    learn = learner(data, path=tmp_path, self_attention=True, norm_type=nn.NormType.Spectral)
    learn.fit(1, 1e-3)
    learn.save("unet", with_opt=False)
    x, _ = data.one_batch("valid")
    with nn.evaluating(learn.model), mt.no_grad():
        expected = learn.model(x).numpy()
    mt.manual_seed(9)
    other = unet_learner(
        data,
        resnet18,
        pretrained=False,
        path=tmp_path,
        self_attention=True,
        norm_type=nn.NormType.Spectral,
    ).load("unet")
    with nn.evaluating(other.model), mt.no_grad():
        np.testing.assert_array_equal(other.model(x).numpy(), expected)


# -------------------------------------------------------------- what else a Learner does with masks


def constant_learner(data: DataBunch, **options: object) -> Learner:
    """A network of one convolution that says "ground" on the left and "square" on the right."""

    class Halves(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Parameter(mt.ones(1))

        def forward(self, x: mt.Tensor) -> mt.Tensor:
            n, _, h, w = x.shape
            right = np.zeros((n, 2, h, w), np.float32)
            right[:, 1, :, w // 2 :] = right[:, 0, :, : w // 2] = 5
            return self.scale * mt.tensor(right)

    return Learner(data, Halves(), progress=False, **options)


def test_predict_gives_every_pixel_its_class(data: DataBunch) -> None:
    names, numbers, probabilities = constant_learner(data).predict(data.valid_ds.x[0])
    assert names == ["ground", "square"]
    assert numbers.shape == (24, 32) and probabilities.shape == (2, 24, 32)
    assert (numbers[:, :16] == 0).all() and (numbers[:, 16:] == 1).all()
    np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-6)


def test_items_of_masks_are_not_interpreted_as_one_class_each(data: DataBunch) -> None:
    learn = constant_learner(data)
    with pytest.raises(ValueError, match="segmentation_confusion"):
        learn.confusion_matrix()
    counts = segmentation_confusion(learn)
    assert counts.sum() == 8 * 24 * 32


def test_two_metrics_of_one_name_are_told_apart(data: DataBunch) -> None:
    learn = constant_learner(data, metrics=[MeanIoU(), MeanIoU(0), MeanIoU(1)])
    learn.fit(1, 1e-4)
    assert learn.recorder.names[3:6] == ["mean_iou", "mean_iou_2", "mean_iou_3"]
    assert len(set(learn.recorder.metrics[0])) == 3


def labelled() -> LabelLists:
    images, masks = squares(12, np.random.default_rng(1))
    items = SegmentationItemList.from_arrays({"all": (images, np.arange(12))})
    by_item = {item: masks[int(item.parent.name)] for item in items.items}
    split = items.split_by_idx(range(8, 12))
    return split.label_from_func(by_item.__getitem__, classes=["ground", "square"])


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    def train(size: tuple[int, int]) -> None:
        data = labelled().transform(size=size).databunch(bs=4).normalize(imagenet_stats)
        constant_learner(data, path=tmp_path).fit(1, 1e-3, checkpoint="same")

    train((16, 16))
    train((16, 16))
    with pytest.raises(CheckpointError, match=r"data was size .*16.*, now size .*height=8"):
        train((8, 12))


def test_a_databunch_stays_as_it_is_when_its_lists_are_transformed_again() -> None:
    lists = labelled()
    small = lists.transform(size=(12, 16)).databunch(bs=4)
    large = lists.transform(size=(24, 32)).databunch(bs=4)
    for kind in ("train", "valid", "fix"):
        assert small.one_batch(kind)[0].shape[2:] == (12, 16)
        assert large.one_batch(kind)[0].shape[2:] == (24, 32)


def test_a_test_set_without_masks() -> None:
    lists = labelled()
    pictures = ImageList.from_arrays(
        {"all": (squares(4, np.random.default_rng(2))[0], np.arange(4))}
    )
    data = lists.add_test(pictures).databunch(bs=4)
    learn = constant_learner(data)
    assert learn.get_preds("test")[0].shape == (4, 2, 24, 32)
    with pytest.raises(ValueError, match="show_results: the loader 'test' has no targets"):
        learn.show_results(dl="test")
    with pytest.raises(ValueError, match="the loader 'test' has no masks"):
        segmentation_confusion(learn, "test")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": "x"}, "size must be a pair"),
        ({"padding_mode": "bogus"}, "mode must be one of"),
        ({"resize_method": "crop"}, "pass size= as well"),
    ],
)
def test_a_transform_that_is_refused_changes_nothing(options: dict, said: str) -> None:
    lists = labelled()
    with pytest.raises(DataError, match=said):
        lists.transform(get_transforms(), tfm_y=True, **options)
    assert lists.train.tfms == [] and not lists.train.tfm_y and lists.size is None
