"""Pieces of a computation that are never trained: what they say of a picture is computed once and kept."""

from typing import Any, NamedTuple, Protocol

from torch import nn


class FrozenPart(NamedTuple):
    """A piece of what a network computes before training, kept on disk where other networks find it.

    Attributes:
        description: what `module` computes, as far as its weights do not say it: architecture, options, which
            output. Two modules with the same description and the same weights give the same features.
        module: float32 images [B, 3, H, W] in [0, 1] -> one tensor with B rows; never trained.
    """

    description: str
    module: nn.Module


class Features(Protocol):
    """What a part says of many pictures, float16 with a row for each; it may lie on disk."""

    def __len__(self) -> int:
        """Number of rows."""

    def __getitem__(self, index: Any, /) -> Any:
        """A NumPy array of the rows at an index of any kind that NumPy knows; what is indexed is read."""
