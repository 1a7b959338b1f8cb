"""Patch statistics: late blocks tuned by gradient descent. See README.md in this folder."""

from vestige.methods.base import Method
from vestige.methods.patch_statistics.model import PatchStatisticsConfig, build
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE

METHOD = Method(
    name="patch-statistics",
    paper="none; channel statistics of a partly tuned ImageNet network",
    config=PatchStatisticsConfig,
    build=build,
    solver="gradient",
    starting_weights=(WEIGHTS_NOTE,),
)
