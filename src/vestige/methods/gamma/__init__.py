"""GAMMA: learn from manipulations, segment them, and classify with an eye on what was segmented."""

from vestige.methods.base import Method
from vestige.methods.gamma.model import GammaConfig, build
from vestige.methods.gamma.towers import ClipOptions
from vestige.nn.clip_vision import WEIGHTS_NOTE as CLIP_NOTE
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE as LITE0_NOTE


def weights_of(config: GammaConfig) -> tuple[str, ...]:
    """Note of the weights that a configuration's tower starts from."""
    if isinstance(config.tower, ClipOptions):
        return (CLIP_NOTE,)
    return (LITE0_NOTE,) if config.tower.start == "imagenet" else ()


def from_hub(config: GammaConfig) -> bool:
    """Whether the tower can be had from the Hugging Face hub."""
    return isinstance(config.tower, ClipOptions) and config.tower.hub is not None


METHOD = Method(
    name="gamma",
    paper="Yan, Hong, Lang, Zhan, Ji, Gao, Lan, Zhu, Wang and Zhang, GAMMA: Generalizable Alignment via "
    "Multi-task and Manipulation-Augmented Training for AI-Generated Image Detection, arXiv 2509.10250",
    config=GammaConfig,
    build=build,
    solver="gradient",
    starting_weights=(CLIP_NOTE, LITE0_NOTE),
    map_output=True,
    weights_of=weights_of,
    from_hub=from_hub,
)
