"""Source statistics: the first shipped detector. See README.md in this folder."""

from vestige.methods.base import Method
from vestige.methods.source_statistics.model import SourceStatisticsConfig, build
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE

METHOD = Method(
    name="source-statistics",
    paper="none; which generator or which source, told from channel statistics of a frozen ImageNet network",
    config=SourceStatisticsConfig,
    build=build,
    solver="sources",
    starting_weights=(WEIGHTS_NOTE,),
)
