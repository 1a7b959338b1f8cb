"""Linear probe on a frozen CLIP image tower, after UnivFD (Ojha et al., CVPR 2023).

What differs: native patches of the picture instead of one centre crop of the resized whole; the tower is a
parameter (here ViT-B/16, there ViT-L/14); standardised features and logistic regression instead of SGD.
"""

from pathlib import Path

from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe
from vestige.nn.clip_vision import WEIGHTS_NOTE, ClipTower, ClipTowerConfig, load_tower


def build(config: ClipTowerConfig, weights: Path | None) -> LinearProbe:
    """The network with CLIP's weights from the folder `weights`, its linear layer untrained."""
    tower = ClipTower(config).requires_grad_(False)
    if weights is not None:
        load_tower(tower, weights)
    return LinearProbe(tower, config.projection)


METHOD = Method(
    name="clip-probe",
    paper="Ojha, Li and Lee, Towards Universal Fake Image Detectors that Generalize Across Generative "
    "Models, CVPR 2023 (linear probe)",
    config=ClipTowerConfig,
    build=build,
    solver="logistic",
    starting_weights=(WEIGHTS_NOTE,),
)
