"""Group discriminant: what tells generated from real pictures alike in every source."""

from vestige.methods.base import Method
from vestige.methods.discriminant.model import DiscriminantConfig, GroupDiscriminant, build
from vestige.methods.frozen_features import ALL_NOTES, from_hub, notes_of

__all__ = ["METHOD", "DiscriminantConfig", "GroupDiscriminant"]

METHOD = Method(
    name="discriminant",
    paper="none; Fisher's discriminant with the scatter of sources counted as noise",
    config=DiscriminantConfig,
    build=build,
    solver="discriminant",
    starting_weights=ALL_NOTES,
    weights_of=lambda config: notes_of(config.features),
    from_hub=lambda config: from_hub(config.features),
)
