"""Fully connected layers and embeddings."""

from __future__ import annotations

from .. import functional as F
from ..autograd import Tensor
from ..creation import zeros
from ..functional._arguments import check_integer
from . import init
from .module import Module, Parameter


class Linear(Module):
    """y = x·Wᵀ + b: (…, in_features) → (…, out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = check_integer("Linear", "in_features", in_features, 0)
        self.out_features = check_integer("Linear", "out_features", out_features, 0)
        self.weight = Parameter(zeros(out_features, in_features))
        self.register_parameter("bias", Parameter(zeros(out_features)) if bias else None)
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """A table of vectors: ids (…) → (…, embedding_dim). Rows start as N(0, 1)."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None
    ) -> None:
        self.num_embeddings = check_integer("Embedding", "num_embeddings", num_embeddings, 0)
        self.embedding_dim = check_integer("Embedding", "embedding_dim", embedding_dim, 0)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx {padding_idx} is outside the {num_embeddings} rows"
            )
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros(num_embeddings, embedding_dim))
        init.normal_(self.weight)
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        extra = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{extra}"


class Identity(Module):
    """y = x."""

    def forward(self, input: Tensor) -> Tensor:
        return input
