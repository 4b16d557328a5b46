"""What a person sees while training runs: one line an epoch, and a bar that disappears.

    epoch  train_loss  valid_loss  accuracy  time
    0      0.215413    0.169024    0.945300  00:06

Neither is drawn where ``learn.no_bar()`` or ``Learner(progress=False)`` asks for silence.
"""

from __future__ import annotations

import sys
from typing import Any

from ..data.progress import watched
from .callbacks import Callback

MISSING = "#na#"


class Progress(Callback):
    """Prints the table to stdout and draws the bar on stderr where a person is watching."""

    order = 10

    def __init__(self) -> None:
        self.bar: Any = None

    def on_train_begin(self) -> None:
        self.names = self.learn.recorder.names
        print(format_row(self.names, self.names), flush=True)
        for row in self.learn.recorder.rows:  # of the epochs before a restart
            self._print(row)

    def on_epoch_begin(self) -> None:
        self._close()
        if watched(sys.stderr):
            from tqdm.std import tqdm

            learn = self.learn
            self.bar = tqdm(
                total=len(learn.data.train_dl),
                initial=learn.batch,
                desc=f"epoch {learn.epoch}",
                leave=False,
                dynamic_ncols=True,
            )

    def on_batch_end(self) -> None:
        if self.bar is not None and self.learn.training:
            if self.learn.recorder.losses:  # on a GPU they come late
                loss = self.learn.recorder.losses[-1]
                self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self.bar.update()

    def on_epoch_end(self) -> None:
        self._close()
        self._print(self.learn.recorder.rows[-1])

    def on_train_end(self) -> None:
        self._close()

    def _print(self, row: dict[str, Any]) -> None:
        cells = [format_cell(name, row.get(name)) for name in self.names]
        print(format_row(cells, self.names), flush=True)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def format_row(cells: list[str], names: list[str]) -> str:
    """Cells under their headings, two spaces apart; a loss needs 8 characters."""
    widths = [len(name) if name in ("epoch", "time") else max(len(name), 8) for name in names]
    return "  ".join(cell.ljust(w) for cell, w in zip(cells, widths, strict=True)).rstrip()


def format_cell(name: str, value: Any) -> str:
    """Losses and metrics with 6 decimals, the epoch as it is, seconds as mm:ss, None as #na#."""
    if value is None:
        return MISSING
    if name == "epoch":
        return str(value)
    return format_time(value) if name == "time" else f"{value:.6f}"


def format_time(seconds: float) -> str:
    """mm:ss, and h:mm:ss from an hour on."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
