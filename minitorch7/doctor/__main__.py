"""``python -m minitorch7.doctor``: the findings as lines or as JSON, and an exit status."""

from __future__ import annotations

import argparse
import json
import sys

from .. import backend
from .facts import Facts, examine
from .probes import LOOK, Finding, diagnose, works


def as_text(findings: list[Finding]) -> str:
    """A line for each finding, and one under it for the command that mends it."""
    lines = []
    for topic, state, found, mend in findings:
        lines.append(f"{state:9}  {topic:14}  {found}")
        if mend:
            verb = "mend with" if state == LOOK else "add with"
            lines.append(f"{'':9}  {verb:14}  {mend}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None, facts: Facts | None = None) -> int:
    """Print the findings; 0 where the backend asked for works, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m minitorch7.doctor",
        description="Say what this machine has for minitorch7, what is wrong, and the command "
        "that mends it. The exit status is 0 where the backend works, else 1.",
    )
    parser.add_argument("--backend", choices=backend.NAMES, default=backend.active())
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    options = parser.parse_args(arguments)
    facts = examine() if facts is None else facts
    findings, fine = diagnose(facts), works(facts, options.backend)
    if options.json:
        told = [finding._asdict() for finding in findings]
        answer = {"backend": options.backend, "works": fine, "findings": told}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print(as_text(findings))
        print(f"\nThe backend {options.backend!r} {'works' if fine else 'does not work'} here.")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
