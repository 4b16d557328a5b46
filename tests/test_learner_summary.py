"""The table of layers, against the lesson's tables."""

import numpy as np
import pytest

import minitorch7 as mt
from minitorch7 import nn
from minitorch7.learner import summarize

# lesson 7's basic network on a batch of 128: layer, output shape, parameters, trainable
LESSON = """\
Conv2d 128x8x14x14 80 True
BatchNorm2d 128x8x14x14 16 True
ReLU 128x8x14x14 0 False
Conv2d 128x16x7x7 1168 True
BatchNorm2d 128x16x7x7 32 True
ReLU 128x16x7x7 0 False
Conv2d 128x32x4x4 4640 True
BatchNorm2d 128x32x4x4 64 True
ReLU 128x32x4x4 0 False
Conv2d 128x16x2x2 4624 True
BatchNorm2d 128x16x2x2 32 True
ReLU 128x16x2x2 0 False
Conv2d 128x10x1x1 1450 True
BatchNorm2d 128x10x1x1 20 True
Lambda 128x10 0 False"""


def lesson_model():
    layers = []
    channels = [1, 8, 16, 32, 16, 10]
    for n_in, n_out in zip(channels, channels[1:], strict=False):
        conv = nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1)
        layers += [conv, nn.BatchNorm2d(n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Lambda(lambda x: x.reshape(x.shape[0], -1)))


@pytest.fixture
def lesson_summary():
    return summarize(lesson_model(), mt.tensor(np.zeros((128, 1, 28, 28), np.float32)))


def test_rows_are_those_of_the_lesson(lesson_summary):
    rows = [
        f"{r.layer} {'x'.join(map(str, r.shape))} {r.params} {r.trainable}"
        for r in lesson_summary.rows
    ]
    assert rows == LESSON.splitlines()
    assert [r.index for r in lesson_summary.rows] == list(range(15))
    assert lesson_summary.total == lesson_summary.trainable == 12126
    assert lesson_summary.non_trainable == 0


def test_table_is_laid_out_as_printed_in_the_lesson(lesson_summary):
    lines = str(lesson_summary).splitlines()
    assert lines[0] == lines[2] == "=" * 70
    assert lines[1].split() == "Layer (type) Output Shape Param # Trainable".split()
    assert lines[3] == "Conv2d               [128, 8, 14, 14]     80         True      "
    assert lines[4] == "_" * 70
    assert lines[-4:] == [
        "",
        "Total params:  12126",
        "Total trainable params:  12126",
        "Total non-trainable params:  0",
    ]
    assert repr(lesson_summary) == str(lesson_summary)


def test_modes_hooks_and_statistics_are_as_before():
    model = lesson_model()
    model[1].eval()
    before = {k: v.detach().cpu().numpy().copy() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    summarize(model, mt.tensor(np.ones((2, 1, 28, 28), np.float32)))
    assert [m.training for m in model.modules()] == modes
    assert not any(m._forward_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.detach().cpu().numpy(), before[name])


def test_everything_is_put_back_after_an_error_too():
    model = lesson_model()
    with pytest.raises(Exception, match="conv2d"):
        summarize(model, mt.tensor(np.ones((2, 3, 28, 28), np.float32)))
    assert model.training and not any(m._forward_hooks for m in model.modules())


def test_frozen_shared_and_unused_layers():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 3), relu, nn.Linear(3, 2), relu)
    model.spare = nn.Identity()  # used like the others: a Sequential runs all it holds
    model[0].weight.requires_grad_(False)
    model[0].bias.requires_grad_(False)

    class Half(nn.Module):
        def __init__(self):
            self.body, self.unused = model, nn.Linear(9, 9)

        def forward(self, x):
            return self.body(x)

    found = summarize(Half(), mt.tensor(np.ones((5, 4), np.float32)))
    rows = [(r.layer, r.shape, r.params, r.trainable) for r in found.rows]
    assert rows == [
        ("Linear", [5, 3], 15, False),
        ("ReLU", [5, 2], 0, False),  # listed once, with its last output
        ("Linear", [5, 2], 8, True),
        ("Identity", [5, 2], 0, False),
    ]
    assert (found.total, found.trainable, found.non_trainable) == (23, 8, 15)
