"""A small network taught by a large one what it sees, then asked what all sources have in common."""

from vestige.methods.base import Method
from vestige.methods.distilled.model import DistilledConfig, build, weights_of
from vestige.methods.frozen_features import ALL_NOTES
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE

METHOD = Method(
    name="distilled",
    paper="none; a small network regresses the features of a frozen tower (Romero et al., FitNets, ICLR "
    "2015), then a group discriminant",
    config=DistilledConfig,
    build=build,
    solver="distilled",
    starting_weights=tuple(dict.fromkeys((WEIGHTS_NOTE, *ALL_NOTES))),
    weights_of=weights_of,
)
