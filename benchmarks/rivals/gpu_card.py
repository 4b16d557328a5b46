"""What a GPU's figures were measured on: card, driver, clocks, versions. No host name, no path."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
from typing import Any

INSTALL = "pip install 'cupy-cuda12x[ctk]' (with a driver for CUDA 13: 'cupy-cuda13x[ctk]')"
DOCTOR = "python -m minitorch7.doctor says what this machine has"
_CARD = {
    "name": "card",
    "driver_version": "driver",
    "memory.total": "memory_mib",
    "power.limit": "power_limit_w",
    "clocks.max.sm": "max_sm_mhz",
    "clocks.max.mem": "max_memory_mhz",
}
_NOW = {
    "clocks.sm": "sm_mhz",
    "clocks.mem": "memory_mhz",
    "temperature.gpu": "celsius",
    "power.draw": "watt",
}


def missing() -> str | None:
    """One line: what minitorch7 lacks to run on a GPU here, and what to install; or None."""
    if importlib.util.find_spec("cupy") is None:
        return f"no CuPy: {INSTALL}; {DOCTOR}"
    try:
        import cupy

        found = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy, the driver and the loader each have their own
        said = " ".join(str(error).split()) or type(error).__name__
        return f"CuPy finds no GPU it can use ({said}): install or update the driver; {DOCTOR}"
    return None if found else f"CuPy is here and no GPU is: a card and its driver; {DOCTOR}"


def facts(place: str | None = None) -> dict[str, Any]:
    """The card's own figures, as nvidia-smi gives them; {} where it gives none.

    place  the card's address on the PCI bus; nvidia-smi lists cards in another order than CUDA
    """
    return _asked(_CARD, place)


def clocks(place: str | None = None) -> dict[str, Any]:
    """The clocks, the temperature and the power now; {} where they cannot be read."""
    return _asked(_NOW, place)


def _asked(names: dict[str, str], place: str | None) -> dict[str, Any]:
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader,nounits"]
    command += [f"--id={place}"] if place else []
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parsed(said.stdout, list(names.values())) if said.returncode == 0 else {}


def parsed(said: str, names: list[str]) -> dict[str, Any]:
    """The first card's line, by name; what the card does not say ('[N/A]') is left out."""
    for cells in csv.reader(said.splitlines(), skipinitialspace=True):
        if len(cells) == len(names):
            pairs = zip(names, map(str.strip, cells), strict=True)
            return {name: _value(name, cell) for name, cell in pairs if not cell.startswith("[")}
    return {}


def _value(name: str, text: str) -> Any:
    """A number, but for names and versions: driver 570.10 is not 570.1."""
    try:
        return text if name in ("card", "driver") else float(text)
    except ValueError:
        return text


def line(found: dict[str, Any]) -> str:
    """Everything in one line, for tables and pictures."""
    parts = [str(found.get("card", "a card of unknown name"))]
    titles = {"driver": "driver", "cuda": "CUDA", "cupy": "CuPy", "torch": "PyTorch"}
    parts += [f"{title} {found[key]}" for key, title in titles.items() if found.get(key)]
    return ", ".join(parts)


def version(number: int) -> str:
    """12040 → '12.4', as CUDA counts."""
    return f"{number // 1000}.{number % 1000 // 10}"
