"""The network: noise, frequency and semantic evidence of a view, a hybrid discriminator over all three."""

from collections.abc import Iterable
from copy import copy
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart, Network, Output
from vestige.methods.frozen_features import ClipFeatures, FeatureOptions, FrozenFeatures
from vestige.methods.nirnet.difference import DifferenceLoss
from vestige.methods.nirnet.extractor import ExtractorOptions, ImprintExtractor, NoiseEncoder
from vestige.methods.nirnet.frequency import FrequencyOptions, FrequencyStatistics
from vestige.methods.reconstructors.latents import (
    LatentOptions,
    Latents,
    TinyAutoencoderLatents,
    build_latents,
)
from vestige.nn.pixels import FromGreyLevels, Middle, ToGreyLevels
from vestige.nn.statistics import Standardise

BRANCHES = ("noise", "frequency", "semantic")
MULTIPLE = 32  # the latent grid fits into sides that are multiples of it


class DifferenceOptions(BaseModel):
    """The difference-aware loss (Fig. 5 of the paper).

    Attributes:
        latents: of which fixed VAE encoder; only training needs it.
        hidden: width of the MLP.
        weight: of the loss beside the classification's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latents: LatentOptions = TinyAutoencoderLatents()
    hidden: int = Field(128, ge=1)
    weight: float = Field(0.1, gt=0)


class NoiseOptions(BaseModel):
    """The noise branch: the imprint extractor and what reads its imprint.

    Attributes:
        side: only the middle so many pixels of a view are looked at; None: the whole view.
        width: of the encoder that reads the imprint.
        difference: None switches the difference-aware loss off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    extractor: ExtractorOptions = ExtractorOptions()
    side: int | None = Field(128, ge=MULTIPLE, multiple_of=MULTIPLE)
    width: int = Field(96, ge=1)
    difference: DifferenceOptions | None = DifferenceOptions()


class SemanticOptions(BaseModel):
    """The semantic branch.

    Attributes:
        features: of which frozen towers; several are put one after the other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[FeatureOptions, ...] = Field((ClipFeatures(),), min_length=1)


class NirNetConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        noise, frequency, semantic: the branches; None switches one off.
        branch_width: of what each branch gives the discriminator.
        width: of the discriminator's hidden layer.
        dropout: before its last layer, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: NoiseOptions | None = NoiseOptions()
    frequency: FrequencyOptions | None = FrequencyOptions()
    semantic: SemanticOptions | None = SemanticOptions()
    branch_width: int = Field(128, ge=1)
    width: int = Field(128, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _some_branch(self) -> "NirNetConfig":
        if self.noise is None and self.frequency is None and self.semantic is None:
            raise ValueError("noise, frequency and semantic are all switched off; one branch is needed")
        return self


class NoiseBranch(nn.Module):
    """Imprint of the middle of a view, and what is made of it.

    Attributes:
        width: of what `forward` gives.
    """

    def __init__(self, options: NoiseOptions) -> None:
        super().__init__()
        self.options = options
        self.pixels = nn.Sequential(Middle(options.side), ToGreyLevels())
        self.levels = FromGreyLevels()
        self.extractor = ImprintExtractor(options.extractor)
        self.encoder = NoiseEncoder(options.width)
        self.width = 2 * options.width

    def part(self) -> FrozenPart:
        """Nothing but pixels: all else is trained."""
        return FrozenPart(f"grey levels, side {self.options.side or 'of the view'}", self.pixels)

    def imprint(self, pixels: Tensor) -> Tensor:
        """Grey levels [B, 3, s, s] -> n(x), the same shape."""
        found: Tensor = self.extractor(self.levels(pixels))
        return found

    def forward(self, imprint: Tensor) -> Tensor:
        """n(x) [B, 3, s, s] -> [B, width]."""
        found: Tensor = self.encoder(imprint)
        return found


class NirNet(Network):
    """NIRNet's training stage (Fig. 3 c of the paper); any of the branches may be None.

    Attributes:
        branches: what each branch gives -> [B, branch_width], by its name.
        difference: the difference-aware loss; None without it. Not part of what is exported.
    """

    def __init__(
        self, config: NirNetConfig, semantic: FrozenFeatures | None, latents: Latents | None
    ) -> None:
        super().__init__()
        self.config = config
        self.noise = None if config.noise is None else NoiseBranch(config.noise)
        self.frequency = None if config.frequency is None else FrequencyStatistics(config.frequency)
        self.semantic = semantic
        # In a list and no submodule: a trained network is restored without the VAE.
        self._latents = [] if latents is None else [latents]
        self.difference: DifferenceLoss | None = None
        if latents is not None and config.noise is not None and config.noise.difference is not None:
            hidden = config.noise.difference.hidden
            self.difference = DifferenceLoss(latents.channels, latents.factor, hidden)
        widths = {
            name: branch.width
            for name, branch in zip(BRANCHES, (self.noise, self.frequency, semantic), strict=True)
            if branch is not None
        }
        # What is computed before training gets its scale here; the noise encoder ends in batch statistics.
        self.standardise = nn.ModuleDict(
            {name: Standardise(width) for name, width in widths.items() if name != "noise"}
        )
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(width, config.branch_width), nn.ReLU())
                for name, width in widths.items()
            }
        )
        self.hidden = nn.Sequential(nn.Linear(len(widths) * config.branch_width, config.width), nn.ReLU())
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(config.width, 1)

    @property
    def extractor(self) -> ImprintExtractor | None:
        """The imprint extractor n(x); None if the noise branch is switched off."""
        return None if self.noise is None else self.noise.extractor

    def parts(self) -> tuple[FrozenPart, ...]:
        """Pixels, frequency statistics, and one for each tower, as far as they are switched on."""
        noise = () if self.noise is None else (self.noise.part(),)
        frequency = self.frequency
        statistics = () if frequency is None else (FrozenPart(frequency.description, frequency),)
        towers = () if self.semantic is None else self.semantic.parts()
        return (*noise, *statistics, *towers)

    def teachers(self) -> tuple[FrozenPart, ...]:
        """Latents of the pixels that the noise branch sees, if the difference-aware loss is on."""
        if self.difference is None or self.config.noise is None:
            return ()
        side, latents = self.config.noise.side, self._latents[0]
        description = f"{latents.description}, side {side or 'of the view'}"
        return (FrozenPart(description, nn.Sequential(Middle(side), latents)),)

    def embed(self, *features: Tensor) -> Tensor:
        """What the parts say -> what the last layer sees, [B, width]."""
        return self._discriminate(self._imprint(features), features)

    def head(self, *features: Tensor) -> Output:
        """What the parts say -> logits [B]."""
        return self._output(self.embed(*features))

    def learn(self, *features: Tensor) -> tuple[Output, dict[str, Tensor]]:
        """The head's output, and the difference-aware loss with its weight, as "difference"."""
        imprint = self._imprint(features)
        output = self._output(self._discriminate(imprint, features))
        options = None if self.config.noise is None else self.config.noise.difference
        if self.difference is None or options is None or imprint is None:
            return output, {}
        return output, {"difference": options.weight * self.difference(imprint.float(), features[-1])}

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisations of statistics, of the towers' features and of latents."""
        statistics, semantic, latents = [], [], []
        for features in batches:
            _, found, kept = self._split(features)
            statistics += found
            if self.semantic is not None:
                semantic.append(self.semantic(*kept))
            if self.difference is not None and len(features) > len(self.parts()):
                latents.append(features[-1])
        for name, some in (("frequency", statistics), ("semantic", semantic)):
            if some:
                standardise = self.standardise[name]
                assert isinstance(standardise, Standardise)
                standardise.fit(torch.cat(some))
        if self.difference is not None and latents:
            self.difference.fit(latents)

    def fresh_parameters(self) -> list[nn.Parameter]:
        """All that is trained: nothing here starts from pretrained weights."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def exportable(self) -> "NirNet":
        """Without the layers of towers that nothing reads, and without the difference-aware loss."""
        found = copy(self)
        semantic = None if self.semantic is None else self.semantic.exportable()
        found._modules = {**self._modules, "semantic": semantic, "difference": None}
        found._latents = []
        return found

    def _split(self, features: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor], tuple[Tensor, ...]]:
        """Pixels and statistics, none or one each, and what the towers say."""
        first = int(self.noise is not None)
        second = first + int(self.frequency is not None)
        return [*features[:first]], [*features[first:second]], features[second : len(self.parts())]

    def _imprint(self, features: tuple[Tensor, ...]) -> Tensor | None:
        return None if self.noise is None else self.noise.imprint(features[0])

    def _discriminate(self, imprint: Tensor | None, features: tuple[Tensor, ...]) -> Tensor:
        _, statistics, kept = self._split(features)
        seen: dict[str, Tensor] = {}
        if self.noise is not None and imprint is not None:
            seen["noise"] = self.noise(imprint)
        if statistics:
            seen["frequency"] = self.standardise["frequency"](statistics[0])
        if self.semantic is not None:
            seen["semantic"] = self.standardise["semantic"](self.semantic(*kept))
        together = torch.cat([self.branches[name](evidence) for name, evidence in seen.items()], 1)
        found: Tensor = self.hidden(together)
        return found

    def _output(self, embedded: Tensor) -> Output:
        return Output(self.linear(self.dropout(embedded))[:, 0])


def build(config: NirNetConfig, weights: Path | None) -> NirNet:
    """The network with its towers and the VAE encoder from the folder `weights`, the rest untrained.

    Raises:
        ConfigError: some are missing or belong to something else.
    """
    semantic = None if config.semantic is None else FrozenFeatures.build(config.semantic.features, weights)
    difference = None if config.noise is None else config.noise.difference
    latents = None if difference is None else build_latents(difference.latents, weights)
    return NirNet(config, semantic, latents)
