"""GenSign: traces of simulated generators, an extractor that regresses them, a detector that reads them."""

from vestige.methods.base import Method
from vestige.methods.gensign.model import GenSignConfig, build
from vestige.methods.gensign.training import STAGES
from vestige.nn.clip_vision import WEIGHTS_NOTE as CLIP_NOTE
from vestige.nn.efficientnet import WEIGHTS_NOTE as B0_NOTE
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE as LITE0_NOTE

EXTRACTOR_NOTE = "GenSign extractor, trained by stage II"
DENOISER_NOTE = "a denoiser of the extractor's sizes, trained on added noise"


def weights_of(config: GenSignConfig) -> tuple[str, ...]:
    """Notes of the weights that the streams of a configuration start from."""
    found = [] if config.rgb is None else [CLIP_NOTE]
    signature = config.signature
    if signature is not None and signature.start == "imagenet":
        found.append(LITE0_NOTE if signature.backbone == "lite0" else B0_NOTE)
    if signature is not None and signature.source != "srm":
        found.append(EXTRACTOR_NOTE if signature.source == "extractor" else DENOISER_NOTE)
    return tuple(found)


METHOD = Method(
    name="gensign",
    paper="Fei, Dai, Zhou, Xia and Piva, Enabling Supervised Learning of Generative Signatures for "
    "Generalized AI-Generated Images Detection, CVPR 2026",
    config=GenSignConfig,
    build=build,
    solver="gradient",
    starting_weights=(CLIP_NOTE, LITE0_NOTE, B0_NOTE, EXTRACTOR_NOTE, DENOISER_NOTE),
    stages=STAGES,
    weights_of=weights_of,
)
