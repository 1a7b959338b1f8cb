"""Features of frozen towers for methods that learn on top of them: which towers, which of their outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart
from vestige.nn.clip_vision import WEIGHTS_NOTE as CLIP_NOTE
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, TowerEnd, TowerLayers, load_tower
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, imagenet_weights
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE as LITE0_NOTE
from vestige.nn.statistics import channel_correlations, mean_and_deviation
from vestige.nn.transformers_vision import TransformersTower, TransformersTowerConfig, load_transformers_tower
from vestige.nn.weights import load_weights

Token = Literal["class", "mean", "deviation"]
OTHER_NOTE = "a vision tower through transformers, weights as the recipe says"
ALL_NOTES = (CLIP_NOTE, LITE0_NOTE, OTHER_NOTE)
TOKENS: tuple[Token, ...] = ("class", "mean", "deviation")


class ClipFeatures(BaseModel):
    """A CLIP image tower; the paper's is ViT-L/14, here it is ViT-B/16 unless the recipe says otherwise.

    Attributes:
        tower: its shape.
        hub: name at the Hugging Face hub, where the folder of starting weights has no tower.
        final: the class token's output after the last layer, or its projection into CLIP's common space;
            None: neither.
        layers: after which layers tokens are taken, too; 0 is what enters the first one.
        tokens: which ones: the class token, mean and standard deviation over the patch tokens.
        keep: what is kept on disk: "chosen", or "all" layers (2 x 3 x width x (layers + 1) bytes a view), so
            that another choice of layers costs nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["clip"] = "clip"
    tower: ClipTowerConfig = ClipTowerConfig()
    hub: str | None = None
    final: Literal["pooled", "projected"] | None = "projected"
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    tokens: tuple[Token, ...] = Field(("class",), min_length=1)
    keep: Literal["chosen", "all"] = "chosen"

    @model_validator(mode="after")
    def _something_there(self) -> "ClipFeatures":
        if max(self.layers, default=0) > self.tower.layers:
            raise ValueError(
                f"layers {list(self.layers)} must not be more than tower.layers ({self.tower.layers})"
            )
        _require_outputs(self)
        return self


class EfficientNetFeatures(BaseModel):
    """Channel statistics of EfficientNet-Lite0: what can be had without a hub.

    Attributes:
        taps: blocks whose activations are summed up by mean and standard deviation, -1 for the stem.
        correlations: blocks whose channels are correlated pair by pair: C (C - 1) / 2 numbers each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["efficientnet"] = "efficientnet"
    taps: tuple[Annotated[int, Field(ge=-1, le=len(BLOCKS) - 1)], ...] = (7, 10, 14, 15)
    correlations: tuple[Annotated[int, Field(ge=-1, le=len(BLOCKS) - 1)], ...] = ()

    @model_validator(mode="after")
    def _different(self) -> "EfficientNetFeatures":
        if not self.taps and not self.correlations:
            raise ValueError("choose at least one tap or block of correlations")
        _require_different("taps", self.taps)
        _require_different("correlations", self.correlations)
        return self


class TransformersFeatures(BaseModel):
    """Any other vision model of transformers.

    Attributes:
        tower: its configuration, as the model's config.json has it, and the normalisation of images.
        weights: stem of the file's name in the folder of starting weights; None: the model type.
        hub: name at the Hugging Face hub, where the folder has no such file.
        final: the model's own pooled output; None: not that.
        layers: whose hidden states are taken, too; 0 is what enters the first one.
        tokens: which of them: the class token, where the model has one, mean and standard deviation over the
            patches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["transformers"] = "transformers"
    tower: TransformersTowerConfig
    weights: str | None = Field(None, pattern=r"^\w[\w.-]*$")
    hub: str | None = None
    final: Literal["pooled"] | None = "pooled"
    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    tokens: tuple[Token, ...] = Field(("mean",), min_length=1)

    @model_validator(mode="after")
    def _something_there(self) -> "TransformersFeatures":
        _require_outputs(self)
        return self


FeatureOptions = Annotated[
    ClipFeatures | EfficientNetFeatures | TransformersFeatures, Field(discriminator="kind")
]


def _require_outputs(options: ClipFeatures | TransformersFeatures) -> None:
    if options.final is None and not options.layers:
        raise ValueError("final is null and layers is empty; at least one output is needed")
    if "tokens" in options.model_fields_set and not options.layers:
        raise ValueError("tokens are those after the layers that are named, and layers is empty")
    _require_different("layers", options.layers)
    _require_different("tokens", options.tokens)


def _require_different(name: str, some: Sequence[object]) -> None:
    if len(set(some)) < len(some):
        raise ValueError(f"{name} lists something twice: {list(some)}")


class Tower(nn.Module):
    """A frozen tower, and which of what it says is used.

    Attributes:
        part: images [B, 3, H, W] in [0, 1] -> what is computed once and kept.
        description: of `part`, as in `FrozenPart`.
        width: of what `forward` gives.
        weights_note: of the weights it starts from.
    """

    part: nn.Module
    description: str
    width: int
    weights_note: str

    def forward(self, kept: Tensor) -> Tensor:
        """What `part` gave -> features [B, width]; nothing in it is trained."""
        raise NotImplementedError

    def exportable(self) -> "Tower":
        """A tower with the same features whose part computes nothing else; shares modules with this one."""
        return self


class Clip(Tower):
    """CLIP's last output, tokens of chosen layers, or both."""

    weights_note = CLIP_NOTE

    def __init__(
        self,
        options: ClipFeatures,
        tower: ClipTower,
        taps: Sequence[int] | None = None,
        class_only: bool = False,
    ) -> None:
        super().__init__()
        self.options, self._tower = options, [tower]  # in a list: not a submodule of its own
        config = options.tower
        self.width = len(options.layers) * len(options.tokens) * config.width
        if options.final is not None:
            self.width += config.projection if options.final == "projected" else config.width
        self.plain = options.final == "projected" and not options.layers and options.keep == "chosen"
        self.end: nn.Module | None = None
        if self.plain:
            # The same part as the CLIP probe's, a fiftieth of the size.
            self.part, self.description = tower, tower.description
            return
        needed = self._needed() if taps is None and options.keep == "chosen" else taps
        layers = TowerLayers(tower, needed, class_only)
        self.part, self.description, self.taps = layers, layers.description, layers.taps
        if options.final is not None:
            self.end = TowerEnd(tower, config.layers, options.final == "projected")

    def _needed(self) -> tuple[int, ...]:
        last = (self.options.tower.layers,) if self.options.final is not None else ()
        return tuple(sorted({*self.options.layers, *last}))

    def forward(self, kept: Tensor) -> Tensor:
        """[B, taps, 3, width of the tower], or the projected output where that is all -> [B, width]."""
        if self.plain:
            return kept
        found = []
        if self.end is not None:
            found.append(self.end(kept[:, self.taps.index(self.options.tower.layers), :1]))
        for layer in self.options.layers:
            for token in self.options.tokens:
                found.append(kept[:, self.taps.index(layer), TOKENS.index(token)])
        return torch.cat(found, 1)

    def exportable(self) -> "Clip":
        """Stops after the last layer that is used, and leaves out what no chosen token needs."""
        if self.plain:
            return self
        return Clip(self.options, self._tower[0], self._needed(), self.options.tokens == ("class",))


class ChannelStatistics(nn.Module):
    """What EfficientNet-Lite0's channels say after some of its blocks, -1 for the stem.

    Args:
        taps: blocks of which mean and standard deviation of each channel are taken.
        correlations: blocks of which the correlation of each pair of channels is taken, too.

    Attributes:
        width: of what `forward` gives.
        description: as in `FrozenPart`.
    """

    def __init__(self, taps: tuple[int, ...], correlations: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.taps, self.correlations = tuple(sorted(set(taps))), tuple(sorted(set(correlations)))
        self._needed = tuple(sorted({*self.taps, *self.correlations}))
        self.width = 2 * sum(EfficientNetLite0.channels(tap) for tap in self.taps)
        self.description = f"channel statistics of EfficientNet-Lite0 after blocks {self.taps}"
        if self.correlations:
            pairs = [EfficientNetLite0.channels(tap) for tap in self.correlations]
            self.width += sum(channels * (channels - 1) // 2 for channels in pairs)
            self.description += f", correlations of its channels after blocks {self.correlations}"
        self.trunk = EfficientNetLite0()

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1], H and W multiples of 32 -> statistics and correlations [B, width]."""
        found = dict(zip(self._needed, self.trunk(images, self._needed), strict=True))
        said = [mean_and_deviation(found[tap]) for tap in self.taps]
        said += [channel_correlations(found[tap]) for tap in self.correlations]
        return torch.cat(said, 1)


class EfficientNet(Tower):
    """EfficientNet-Lite0's channel statistics."""

    weights_note = LITE0_NOTE

    def __init__(self, options: EfficientNetFeatures, weights: Path | None) -> None:
        super().__init__()
        statistics = ChannelStatistics(options.taps, options.correlations)
        if weights is not None:
            load_weights(statistics.trunk, imagenet_weights(weights))
        self.part, self.description, self.width = statistics, statistics.description, statistics.width

    def forward(self, kept: Tensor) -> Tensor:
        """As they are."""
        return kept


class OtherVision(Tower):
    """The chosen outputs of a vision model of transformers, kept as they are."""

    def __init__(self, options: TransformersFeatures, weights: Path | None) -> None:
        super().__init__()
        tower = TransformersTower(options.tower, options.final is not None, options.layers, options.tokens)
        if weights is not None:
            load_transformers_tower(tower, weights, options.weights, options.hub)
        self.part, self.description, self.width = tower, tower.description, tower.width
        self.weights_note = _note(options)

    def forward(self, kept: Tensor) -> Tensor:
        """As they are."""
        return kept


def tower_of(options: FeatureOptions, weights: Path | None) -> Tower:
    """A tower with weights from the folder `weights`, else from the hub; None: without.

    Raises:
        ConfigError: they cannot be had, or are those of another tower.
    """
    if isinstance(options, EfficientNetFeatures):
        return EfficientNet(options, weights)
    if isinstance(options, TransformersFeatures):
        return OtherVision(options, weights)
    tower = ClipTower(options.tower)
    if weights is not None:
        load_tower(tower, weights, options.hub)
    return Clip(options, tower)


class FrozenFeatures(nn.Module):
    """Features of one or several towers, one after the other.

    Attributes:
        width: of all together.
    """

    def __init__(self, towers: Sequence[Tower]) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers).requires_grad_(False)
        self.width = sum(tower.width for tower in towers)

    @classmethod
    def build(cls, options: Sequence[FeatureOptions], weights: Path | None) -> "FrozenFeatures":
        """With weights from the folder `weights`, else from the hub; None: without.

        Raises:
            ConfigError: they cannot be had, or are those of another tower.
        """
        return cls([tower_of(one, weights) for one in options])

    def parts(self) -> tuple[FrozenPart, ...]:
        """What is computed once and kept, a part for each tower."""
        return tuple(FrozenPart(tower.description, tower.part) for tower in self._all())

    def forward(self, *kept: Tensor) -> Tensor:
        """What the parts say -> features [B, width]."""
        return torch.cat([tower(found) for tower, found in zip(self._all(), kept, strict=True)], 1)

    def exportable(self) -> "FrozenFeatures":
        """The same features from towers that compute nothing else."""
        return FrozenFeatures([tower.exportable() for tower in self._all()])

    def _all(self) -> list[Tower]:
        return [tower for tower in self.towers if isinstance(tower, Tower)]


def notes_of(options: Sequence[FeatureOptions]) -> tuple[str, ...]:
    """Notes of the weights that these towers start from, each once."""
    return tuple(dict.fromkeys(_note(one) for one in options))


def _note(options: FeatureOptions) -> str:
    if isinstance(options, TransformersFeatures):
        kind = options.tower.kind
        weights = options.hub or f"{options.weights or kind}*.safetensors of its user"
        return f"vision tower {kind} through transformers, weights: {weights}"
    return LITE0_NOTE if isinstance(options, EfficientNetFeatures) else CLIP_NOTE


def from_hub(options: Sequence[FeatureOptions]) -> bool:
    """Whether all these towers name a place at the Hugging Face hub: no folder of weights is needed."""
    return all(not isinstance(one, EfficientNetFeatures) and one.hub is not None for one in options)
