"""Frozen features of one or several towers, one linear layer; what is special is how it is fitted."""

from pathlib import Path

from vestige.methods.frozen_features import FrozenFeatures
from vestige.methods.references.feature_probe import FeatureProbe, FeatureProbeConfig


class DiscriminantConfig(FeatureProbeConfig):
    """The `model` section of a recipe: the features, as for the probe that this is to beat."""


class GroupDiscriminant(FeatureProbe):
    """Standardised features and a linear layer, fitted by `vestige.training.discriminant`."""


def build(config: DiscriminantConfig, weights: Path | None) -> GroupDiscriminant:
    """The network with the towers' weights from the folder `weights`, its linear layer untrained."""
    return GroupDiscriminant(FrozenFeatures.build(config.features, weights))
