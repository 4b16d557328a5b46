"""The table, the bar, and the curves."""

import io
import re

import numpy as np
import pytest
from test_learner_toy import ToyData, toy_learner

from minitorch7.learner import Callback, accuracy, error_rate
from minitorch7.learner.progress import format_cell, format_row, format_time


def test_the_table(capsys):
    learn = toy_learner(progress=True, metrics=[accuracy, error_rate])
    learn.fit(2, 1e-3)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "epoch  train_loss  valid_loss  accuracy  error_rate  time"
    number = r"\d\.\d{6}"
    row = rf"0      {number}    {number}    {number}  {number}    00:0\d"
    assert re.fullmatch(row, lines[1]), lines[1]
    assert lines[2].startswith("1 ") and len(lines) == 3
    assert err == ""  # no terminal, no bar


def test_train_loss_is_the_smoothed_one_and_is_not_reset():
    learn = toy_learner()
    learn.fit(2, 1e-3)
    recorder = learn.recorder
    mean = 0.0
    for n, loss in enumerate(recorder.raw_losses, 1):
        mean = 0.98 * mean + 0.02 * loss
        assert recorder.losses[n - 1] == pytest.approx(mean / (1 - 0.98**n))
    assert [row["train_loss"] for row in recorder.rows] == [recorder.losses[5], recorder.losses[11]]
    learn.fit(1, 1e-3)
    assert recorder.losses[0] == pytest.approx(recorder.raw_losses[0])  # begun anew


def test_without_validation_numbers_are_missing(capsys):
    learn = toy_learner(data=ToyData(valid=False), progress=True)
    learn.fit(1, 1e-3)
    assert capsys.readouterr().out.splitlines()[1].split()[2:4] == ["#na#", "#na#"]
    assert learn.recorder.val_losses == [] and learn.recorder.metrics == [[None]]


def test_silence(capsys):
    learn = toy_learner(progress=True)
    with learn.no_bar():
        learn.fit(1, 1e-3)
    toy_learner(progress=False).fit(1, 1e-3)
    assert capsys.readouterr() == ("", "")
    assert learn.progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_on_a_terminal_disappears(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    learn = toy_learner(progress=True)
    learn.fit(1, 1e-3)
    drawn = terminal.getvalue()
    assert "epoch 0" in drawn and "/6" in drawn
    assert drawn.split("\r")[-2].strip() == "" and "\n" not in drawn


def test_the_bar_is_closed_after_an_error(monkeypatch):
    class Fails(Callback):
        def on_step_end(self):
            raise ZeroDivisionError

    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(ZeroDivisionError):
        toy_learner(progress=True).fit(1, callbacks=[Fails()])
    from tqdm import tqdm

    assert not list(getattr(tqdm, "_instances", []))


def test_formats():
    assert [format_time(s) for s in (0, 59.9, 61, 3600 + 62)] == [
        "00:00",
        "00:59",
        "01:01",
        "1:01:02",
    ]
    assert format_cell("epoch", 3) == "3" and format_cell("x", float("nan")) == "nan"
    assert format_row(["0", "1.5"], ["epoch", "a_long_metric_name"]) == "0      1.5"


def test_other_callbacks_add_columns(capsys):
    class Extra(Callback):
        order = -20

        def on_train_begin(self):
            self.learn.recorder.add_columns("gen_loss", "disc_loss")

        def on_epoch_end(self):
            self.learn.recorder.extra["gen_loss"] = 1.5

    learn = toy_learner(progress=True, callbacks=[Extra()])
    learn.fit(1, 1e-3)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-3:-1] == ["gen_loss", "disc_loss"]
    assert lines[1][-3:-1] == ["1.500000", "#na#"]
    assert learn.recorder.metrics[0][1:] == [1.5, None]


def test_losses_are_read_late(monkeypatch):
    """With read_every=4 the recorder asks for numbers 4 at a time, and for the rest at the end."""
    from minitorch7.learner import recorder

    asked, read_all = [], recorder.read_all
    monkeypatch.setattr(
        recorder, "read_all", lambda values: asked.append(len(values)) or read_all(values)
    )
    toy_learner(read_every=4).fit(1, 1e-3)
    assert [n for n in asked if n] == [4, 2]


# ------------------------------------------------------------------------------------------ curves


def line(figure, axes=0, number=0):
    return figure.axes[axes].lines[number].get_xydata().T


def test_plot_of_the_finder_skips_both_ends():
    learn = toy_learner()
    learn.lr_find(num_it=60, stop_div=False)
    x, y = line(learn.recorder.plot())
    np.testing.assert_allclose(x, learn.recorder.lrs[10:-5])
    np.testing.assert_allclose(y, learn.recorder.losses[10:-5])
    figure = learn.recorder.plot(suggestion=True)
    at, _ = line(figure, number=1)
    assert at[0] == learn.recorder.steepest_lr()
    assert figure.axes[0].get_xscale() == "log"


def test_steepest_descent_of_a_known_curve():
    recorder = toy_learner().recorder
    recorder.lrs = list(10.0 ** np.linspace(-5, 0, 51))
    recorder.losses = list(-np.tanh(4 * (np.linspace(-5, 0, 51) + 2)))  # steepest at 1e-2
    assert recorder.steepest_lr() == pytest.approx(1e-2)
    recorder.losses = recorder.losses[:16]
    with pytest.raises(ValueError, match="steepest_lr: 16 batches are recorded"):
        recorder.steepest_lr()


def test_other_plots():
    learn = toy_learner(metrics=[accuracy, error_rate])
    learn.fit_one_cycle(2, 0.01)
    recorder = learn.recorder
    np.testing.assert_allclose(line(recorder.plot_lr())[1], recorder.lrs)
    figure = recorder.plot_lr(show_moms=True)
    np.testing.assert_allclose(line(figure, 1)[1], recorder.moms)
    figure = recorder.plot_losses()
    np.testing.assert_allclose(line(figure)[1], recorder.losses)
    np.testing.assert_allclose(line(figure, number=1), [[6, 12], recorder.val_losses])
    assert figure.axes[0].get_xlabel() == "Batches processed"
    figure = recorder.plot_metrics()
    assert [ax.get_ylabel() for ax in figure.axes] == ["accuracy", "error_rate"]
    np.testing.assert_allclose(line(figure)[1], [m[0] for m in recorder.metrics])
