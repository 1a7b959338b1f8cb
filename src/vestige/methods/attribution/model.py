"""The network: frozen towers, an attribution module of one class, a classifier of its deviations."""

from copy import copy
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.methods.attribution.module import ACTIVATIONS, Activation, AttributionModule, layers
from vestige.methods.base import FrozenPart, Network, Output
from vestige.methods.frozen_features import ClipFeatures, FeatureOptions, FrozenFeatures
from vestige.nn.statistics import Standardise

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class SourceOptions(BaseModel):
    """The single class that the attribution module is fitted to (section 5.4).

    Attributes:
        label: real pictures or generated ones; reconstructions never count as either.
        groups: only those of these sources or generators, which a run then never holds out; None: all of the
            class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Literal["real", "generated"] = "real"
    groups: tuple[str, ...] | None = Field(None, min_length=1)


class ClassifierOptions(BaseModel):
    """C, from deviations to a logit. The paper says that it is lightweight and no more.

    Attributes:
        sees: "deviation" is A(f) = |f - D(E(f))| as in the paper. The others are ours: "residual" keeps the
            sign, f - D(E(f)), without which the classifier cannot tell more of a feature from less of it;
            "both" puts f and A(f) side by side.
        widths: of hidden layers with ReLU; none: a linear layer, logistic regression on what it sees.
        normalise: what it sees, before the first layer: "none", or "batch" (batch normalisation without
            scale and shift: deviations are all positive, and small ones teach slowly).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sees: Literal["deviation", "residual", "both"] = "deviation"
    widths: Widths = ()
    normalise: Literal["none", "batch"] = "none"


class AttributionConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        features: of which towers; several are put one after the other.
        source: what the attribution module and the standardisation are fitted to.
        standardise: features before the module: by mean and deviation of the source, or not at all.
        widths: of the encoder's layers, the narrowest last; the decoder mirrors them.
        activation: of the module.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[FeatureOptions, ...] = Field((ClipFeatures(),), min_length=1)
    source: SourceOptions = SourceOptions()
    standardise: Literal["source", "none"] = "source"
    widths: Widths = Field((256, 64), min_length=1)
    activation: Activation = "relu"
    classifier: ClassifierOptions = ClassifierOptions()


class Attribution(Network):
    """Attribution consistency (He et al., 2026, section 4).

    Attributes:
        features: the frozen towers.
        standardise: constants fitted to the source alone.
        module: E and D; learns from the source alone.
        classifier: normalisation and hidden layers of C, before `linear`.
        linear: C's last layer.
    """

    def __init__(self, config: AttributionConfig, features: FrozenFeatures) -> None:
        super().__init__()
        self.config = config
        self.features = features
        width = features.width
        self.standardise = Standardise(width)
        self.module = AttributionModule(width, config.widths, config.activation)
        options = config.classifier
        seen = 2 * width if options.sees == "both" else width
        self.classifier = nn.Sequential()
        if options.normalise == "batch":
            self.classifier.append(nn.BatchNorm1d(seen, affine=False))
        if options.widths:
            self.classifier.extend([*layers((seen, *options.widths), "relu"), ACTIVATIONS["relu"]()])
        self.linear = nn.Linear((seen, *options.widths)[-1], 1)

    def parts(self) -> tuple[FrozenPart, ...]:
        """One for each tower."""
        return self.features.parts()

    def attribution_parameters(self) -> list[nn.Parameter]:
        """What learns by eq. 4."""
        return list(self.module.parameters())

    def classifier_parameters(self) -> list[nn.Parameter]:
        """What learns by eq. 5."""
        return [*self.classifier.parameters(), *self.linear.parameters()]

    def standardised(self, *kept: Tensor) -> Tensor:
        """What the towers say -> f, the features that the module sees: [B, D]."""
        found: Tensor = self.standardise(self.features(*kept))
        return found

    def deviations(self, features: Tensor) -> Tensor:
        """f -> A(f), at least 0 (eq. 3): [B, D] -> the same shape."""
        found: Tensor = self.module(features)
        return found

    def evidence(self, features: Tensor) -> Tensor:
        """f -> what C sees: [B, D] -> [B, D], or [B, 2 D] for "both"."""
        sees = self.config.classifier.sees
        if sees == "residual":
            return features - self.module.reconstruct(features)
        deviations = self.deviations(features)
        return torch.cat([features, deviations], 1) if sees == "both" else deviations

    def classify(self, evidence: Tensor) -> Tensor:
        """What C sees -> its logits [B]."""
        found: Tensor = self.linear(self.classifier(evidence))[:, 0]
        return found

    def embed(self, *features: Tensor) -> Tensor:
        """What the towers say -> what C's last layer sees."""
        found: Tensor = self.classifier(self.evidence(self.standardised(*features)))
        return found

    def head(self, *features: Tensor) -> Output:
        """What the towers say -> logits, and the mean over features of the deviation, [B] both."""
        f = self.standardised(*features)
        return Output(self.classify(self.evidence(f)), deviation=self.deviations(f).mean(1))

    def exportable(self) -> "Attribution":
        """Without the layers of towers that nothing reads."""
        found = copy(self)
        found._modules = {**self._modules, "features": self.features.exportable()}
        return found


def build(config: AttributionConfig, weights: Path | None) -> Attribution:
    """The network with the towers' weights from the folder `weights`, its trained parts at random.

    Raises:
        ConfigError: weights cannot be had, or are those of another tower.
    """
    return Attribution(config, FrozenFeatures.build(config.features, weights))
