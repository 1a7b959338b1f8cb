"""Attribution consistency: a one-class encoder-decoder on frozen features, its deviation is classified."""

from vestige.methods.attribution.model import AttributionConfig, build
from vestige.methods.base import Method
from vestige.methods.frozen_features import ALL_NOTES, from_hub, notes_of

METHOD = Method(
    name="attribution",
    paper="He, Zhang, Bi, Liu, Pun and Xiao, Leveraging Arbitrary Data Sources for AI-Generated Image "
    "Detection Without Sacrificing Generalization, CVPR 2026 Findings, arXiv 2603.00717",
    config=AttributionConfig,
    build=build,
    solver="alternating",
    starting_weights=ALL_NOTES,
    weights_of=lambda config: notes_of(config.features),
    from_hub=lambda config: from_hub(config.features),
    never_held_out=lambda config: config.source.groups or (),
)
