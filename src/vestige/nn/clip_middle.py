"""Layers of a CLIP image tower from the middle on: what enters one of them -> what leaves later ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from vestige.nn.clip_vision import ClipTower, attend, feed_forward


class TowerMiddle(nn.Module):
    """Hidden states after some layers, from those that enter an earlier one.

    Args:
        tower: whose modules these are; they are not copied.
        first: the layer that the hidden states enter.
        layers: after which layers, ascending, all of them more than `first`.
    """

    def __init__(self, tower: ClipTower, first: int, layers: Sequence[int]) -> None:
        super().__init__()
        self.first, self.taps = first, tuple(layers)
        self.layers = nn.ModuleList(tower.tower.vision_model.encoder.layers[first : max(layers)])

    def forward(self, hidden: Tensor) -> list[Tensor]:
        """[B, 1 + patches, width] -> one tensor of the same shape for each of the layers."""
        found = []
        for after, layer in enumerate(self.layers, start=self.first + 1):
            hidden = feed_forward(layer, attend(layer, hidden))
            if after in self.taps:
                found.append(hidden)
        return found
