"""Self-attention between all places of a picture."""

from __future__ import annotations

from .. import functional as F
from ..autograd import Tensor
from ..creation import zeros
from ..functional._arguments import check_integer, check_tensor
from . import init
from .convolution import Conv1d
from .module import Module, Parameter
from .reparametrise import spectral_norm


class SelfAttention(Module):
    """y = x + γ·(h β), where every place looks at every other (Zhang et al. 2018, 1805.08318).

    x (N, n, …) is read as (N, n, L), with L the number of places. Three 1×1 convolutions without
    bias, under spectral norm, give f = query(x) and g = key(x), of n//8 channels, and h = value(x),
    of n. Then β = softmax(fᵀg) (N, L, L) over its first L, so that the weights with which place j
    gathers, Σᵢ h[:, i]·β[i, j], add up to 1. γ starts at 0: at first the layer does nothing.

    Memory and time grow with L². ValueError for fewer than 8 channels.
    """

    def __init__(self, n: int) -> None:
        if check_integer("SelfAttention", "n", n) < 8:
            raise ValueError(
                f"SelfAttention: n must be at least 8, so that n//8 channels compare; got {n}"
            )
        self.query = _conv1x1(n, n // 8)
        self.key = _conv1x1(n, n // 8)
        self.value = _conv1x1(n, n)
        self.gamma = Parameter(zeros(1))

    def forward(self, input: Tensor) -> Tensor:
        x = check_tensor("SelfAttention", "input", input)
        if x.ndim < 3:
            raise ValueError(f"SelfAttention: input must be (N, C, places...), got {x.shape}")
        flat = x.reshape(*x.shape[:2], -1)  # (N, n, L)
        f, g, h = self.query(flat), self.key(flat), self.value(flat)
        beta = F.softmax(F.bmm(f.transpose(1, 2), g), dim=1)  # (N, L, L)
        out = self.gamma * F.bmm(h, beta) + flat
        return out.reshape(*x.shape)


def _conv1x1(ni: int, nf: int) -> Conv1d:
    conv = Conv1d(ni, nf, 1, bias=False)
    init.kaiming_normal_(conv.weight)
    return spectral_norm(conv)
