"""Reverse-mode automatic differentiation: `Tensor`, `Function`, and the walk backward.

A computation is a graph. Its nodes are `Function` objects, one for every operation performed; its
edges are `Tensor` objects, each remembering the node that made it. To differentiate, the walk
visits the nodes in the reverse of the order in which they depend on one another and applies the
chain rule at each: a node is handed the gradient of the final value with respect to its outputs
and answers with the gradient with respect to its inputs.

Two rules make everything else follow:

* ``Function.forward`` takes and returns **arrays**; ``Function.backward`` takes and returns
  **tensors**. Backward is therefore itself a differentiable computation, and with
  ``create_graph=True`` it is recorded like any other: gradients of gradients need no further code.
* Nodes keep only what they `save`, and the walk drops even that as soon as it has been used, unless
  ``retain_graph=True`` asks for it to be kept.

Reading order: `tensor`, `function`, `walk`; beside them `state` (the switches, such as `no_grad`)
`anomaly` (which layer an error happened in), `out_of_memory` (what held the memory) and `graph`
(the recorded graph as plain data, to be drawn).
"""

from .anomaly import layer_names, layer_path, note_layer
from .function import Function
from .graph import Graph, graph_of
from .out_of_memory import OutOfMemoryError
from .state import (
    detect_anomaly,
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    state,
)
from .tensor import HookHandle, Tensor, as_tensor, tensor
from .walk import Walk, grad
