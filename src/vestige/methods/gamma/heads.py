"""The segmentation branch: a trunk on the tower's maps, and a head for each thing that it says of places."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from vestige.nn.segmentation import Neck, SeparableBlock

HeadName = Literal["manipulated", "source"]


class Segmented(NamedTuple):
    """What the segmentation branch says.

    Attributes:
        features: [B, width, h, w] of each head in their order; of the trunk where there are no heads.
        logits: [B, 1, h, w] by the head's name, positive = changed ("manipulated"), generated ("source").
    """

    features: tuple[Tensor, ...]
    logits: dict[str, Tensor]


class SegmentationHead(nn.Module):
    """One more block of features, and a logit of each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = SeparableBlock(width)
        self.logit = nn.Conv2d(width, 1, 1)

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """[B, width, h, w] -> features of the same shape, logits [B, 1, h, w]."""
        features = self.block(shared)
        return features, self.logit(features)


class Segmentation(nn.Module):
    """Neck, shared trunk, heads.

    Args:
        channels: of the tower's maps.
        width: of all features of the branch.
        blocks: of the trunk.
        heads: names of the heads; there may be none.
    """

    def __init__(
        self, channels: tuple[int, ...], width: int, blocks: int, heads: tuple[HeadName, ...]
    ) -> None:
        super().__init__()
        self.neck = Neck(channels, width)
        self.trunk = nn.Sequential(*(SeparableBlock(width) for _ in range(blocks)))
        self.heads = nn.ModuleDict({name: SegmentationHead(width) for name in heads})

    def forward(self, *maps: Tensor) -> Segmented:
        """Maps of the tower [B, D_i, h_i, w_i], the first the finest -> `Segmented` on the first's grid."""
        shared: Tensor = self.trunk(self.neck(*maps))
        if not self.heads:
            return Segmented((shared,), {})
        features, logits = [], {}
        for name, head in self.heads.items():
            found, logits[name] = head(shared)
            features.append(found)
        return Segmented(tuple(features), logits)
