"""The network: a tower, two segmentation heads on its maps, a classification that looks back at them."""

from collections.abc import Iterable
from copy import copy
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart, Network, Output
from vestige.methods.gamma.attention import AttentionOptions, ReverseAttention
from vestige.methods.gamma.heads import HeadName, Segmentation
from vestige.methods.gamma.losses import LossWeights, segmentation_losses
from vestige.methods.gamma.towers import ClipOptions, Tower, TowerOptions, build_tower


class GammaConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        tower: what looks at the picture.
        width: of the segmentation's features, of the attention's tokens and of the layer before the last.
        blocks: of the trunk that the segmentation heads share.
        heads: what is said of each place: whether it was changed ("manipulated"), whether it is generated
            ("source"). The map is the source's; without it there is none, for what was changed need not be
            generated. Without heads the trunk is looked at, but nothing supervises it.
        attention: reverse cross-attention from the classification to the segmentation; None: an MLP of about
            as many parameters on the tower's summary alone.
        weights: of the segmentation's losses.
        dropout: before the last layer, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tower: TowerOptions = ClipOptions()
    width: int = Field(192, ge=1)
    blocks: int = Field(2, ge=1)
    heads: tuple[HeadName, ...] = ("manipulated", "source")
    attention: AttentionOptions | None = AttentionOptions()
    weights: LossWeights = LossWeights()
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _fitting(self) -> "GammaConfig":
        if len(set(self.heads)) < len(self.heads):
            raise ValueError(f"heads lists something twice: {list(self.heads)}")
        if self.attention is not None and self.width % self.attention.heads:
            raise ValueError(
                f"width ({self.width}) must be a multiple of attention.heads ({self.attention.heads})"
            )
        return self


class Gamma(Network):
    """Multi-task network: segmentation, and a classification that reverse cross-attention corrects.

    Attributes:
        segmentation: None where nothing looks at it: without heads and without attention.
        attention: None where it is switched off.
    """

    learns_where = True

    def __init__(self, config: GammaConfig, tower: Tower) -> None:
        super().__init__()
        self.config = config
        self.tower = tower
        width, options = config.width, config.attention
        self.segmentation: Segmentation | None = None
        if config.heads or options is not None:
            self.segmentation = Segmentation(tower.channels, width, config.blocks, config.heads)
        self.attention = None if options is None else attention_of(config, options, tower.width)
        self.hidden = (
            plain_branch(config, tower.width)
            if self.attention is None
            else nn.Sequential(nn.Linear(self.attention.tokens * width, width), nn.GELU())
        )
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width, 1)

    def parts(self) -> tuple[FrozenPart, ...]:
        """What the tower says before its first tuned layer."""
        return (self.tower.part(),)

    def embed(self, *features: Tensor) -> Tensor:
        """What the tower's part says -> what the last layer sees, [B, width]."""
        return self._see(features[0])[0]

    def head(self, *features: Tensor) -> Output:
        """What the tower's part says -> logits [B]; the map [B, 1, h, w], None without the head "source"."""
        return self._output(*self._see(features[0]))

    def learn(self, *features: Tensor) -> tuple[Output, dict[str, Tensor]]:
        """The head's output, and the weighted loss of each segmentation head, by its name.

        Args:
            features: what the tower's part says, and the truth [B, 2, S / 8, S / 8]; without it there are no
                losses but the classification's.
        """
        embedded, maps = self._see(features[0])
        output = self._output(embedded, maps)
        if len(features) == len(self.parts()):
            return output, {}
        return output, segmentation_losses(maps, features[-1], self.config.weights)

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisation of what the tower says."""
        self.tower.prepare(features[0] for features in batches)

    def fresh_parameters(self) -> list[nn.Parameter]:
        """All but what is tuned from pretrained weights; low-rank updates are fresh."""
        tower = {id(parameter) for parameter in self.tower.parameters()}
        own = [parameter for parameter in self.parameters() if id(parameter) not in tower]
        return [*own, *self.tower.fresh_parameters()]

    def exportable(self) -> "Gamma":
        """With low-rank updates merged into the weights; this network stays as it is."""
        tower = self.tower.exportable()
        if tower is self.tower:
            return self
        found = copy(self)
        found._modules = {**self._modules, "tower": tower}
        return found

    def _see(self, kept: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the last layer sees [B, width], and logits [B, 1, h, w] of each segmentation head."""
        seen = self.tower(kept)
        found = None if self.segmentation is None else self.segmentation(*seen.maps)
        logits = {} if found is None else found.logits
        if self.attention is None or found is None:
            return self.hidden(seen.summary), logits
        tokens = self.attention(seen.summary, found.features, tuple(logits.values()))
        return self.hidden(tokens.flatten(1)), logits

    def _output(self, embedded: Tensor, maps: dict[str, Tensor]) -> Output:
        return Output(self.linear(self.dropout(embedded))[:, 0], maps.get("source"))


def attention_of(config: GammaConfig, options: AttentionOptions, summary: int) -> ReverseAttention:
    """The attention of a configuration over a tower's summary of this width."""
    heads = len(config.heads)
    return ReverseAttention(options, summary, config.width, max(1, heads), logits=bool(heads))


def plain_branch(config: GammaConfig, summary: int) -> nn.Sequential:
    """MLP from the summary [B, E] to [B, width] with as many parameters as attention would have taken."""
    width, options = config.width, AttentionOptions(heads=1)
    replaced = attention_of(config, options, summary)
    count = sum(parameter.numel() for parameter in replaced.parameters())
    count += replaced.tokens * width**2 + width
    inner = max(1, round((count - width) / (summary + 1 + width)))
    return nn.Sequential(nn.Linear(summary, inner), nn.GELU(), nn.Linear(inner, width), nn.GELU())


def build(config: GammaConfig, weights: Path | None) -> Gamma:
    """The network with its tower's weights from the folder `weights` or from the hub, the rest untrained.

    Raises:
        ConfigError: they cannot be had, or are those of another network.
    """
    return Gamma(config, build_tower(config.tower, weights))
