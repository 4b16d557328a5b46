"""``python -m minitorch7.doctor``: what the machine has, what is wrong, and the command that mends.

ok         Python          3.11.7, Linux x86_64
look here  CuPy wheel      cupy-cuda11x 13.6.0 and cupy-cuda12x 13.6.0: they overwrite each ...
           mend with       pip uninstall -y cupy-cuda11x cupy-cuda12x && pip install ...

facts      what was found on the machine
probes     what that means, line by line
__main__   how it is told; ``--backend cupy`` and ``--json``
"""

from .facts import Card, Facts, examine
from .probes import Finding, diagnose, works

__all__ = ["Card", "Facts", "Finding", "diagnose", "examine", "works"]
