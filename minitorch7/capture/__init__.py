"""A whole training step as one CUDA graph: recorded once, then replayed with a single launch.

    def train_step(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    step = mt.capture(train_step, x, y)     # example inputs: only their shapes and dtypes matter
    for x, y in batches:
        loss = step(x, y)

A small net's step is hundreds of launches of a few microseconds each, and Python takes longer to
ask for one than the GPU to do it. A graph asks for all of them at once. A replay runs no Python: it
does the same to the same places in memory, so everything that may differ lies there, and the host
writes it before each replay: the batch, into the captured inputs; learning rates, momenta and
Adam's corrections; the counter that dropout's numbers are made from. Memory comes from a pool that
the graph alone has.

What a captured step may not do, each with an error that says so: read values on the host
(``float(loss)``, ``.item()``, ``if tensor``), make results whose shape depends on values, draw
random numbers on the host, add to gradients that an earlier call left. CuPy lets neither cuBLAS nor
its sorting be recorded (cupy issue 6290); products go through our own kernel here, and a sum may so
be rounded otherwise than in a step that is not captured, unless that runs inside `as_captured`.

Reading order: `step`, what is given out; `record`, what a step touches and what the host writes
before each replay; `library`, CuPy as the step sees it; `state`, what is switched on.
"""

from .library import CapturableLibrary, as_captured
from .record import Recording
from .state import CaptureError, active, addresses, recording
from .step import CapturedStep, UncapturedStep, capture
