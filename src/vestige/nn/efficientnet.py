"""EfficientNet-B0 (Tan and Le, 2019) through transformers, without its classifier.

Weights are a safetensors file under transformers' names for `EfficientNetModel`, or for the classifier
around it.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from vestige.errors import ConfigError

WIDTH = 1280
WEIGHTS_NOTE = "EfficientNet-B0, ImageNet, google/efficientnet-b0 at the Hugging Face hub, Apache-2.0"
PREFIX = "efficientnet."  # of the names in files of the network with its classifier


class EfficientNetB0(nn.Module):
    """Convolutional part and global mean, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel  # takes seconds to import

        self.trunk = EfficientNetModel(
            EfficientNetConfig(
                width_coefficient=1.0,
                depth_coefficient=1.0,
                hidden_dim=WIDTH,
                # transformers' 0.99 is TensorFlow's word for it: PyTorch would keep the last batch alone.
                batch_norm_momentum=0.01,
            )
        )
        # transformers' own choice, deviations of 0.02, lets nothing of the picture arrive at the last blocks.
        for module in self.trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)

    def forward(self, normalised: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] of mean near 0 and deviation near 1, sides from 32 -> [B, 1280]."""
        # Not the model's pooling: a window of 1280 x 1280 that is larger than any map.
        found: Tensor = self.trunk.encoder(self.trunk.embeddings(normalised)).last_hidden_state.mean((2, 3))
        return found


def load_b0(network: EfficientNetB0, folder: Path) -> None:
    """Load ImageNet weights from the folder of starting weights.

    Raises:
        ConfigError: no efficientnet-b0*.safetensors there, or it holds another network.
    """
    found = sorted(folder.glob("**/efficientnet-b0*.safetensors"))
    if not found:
        raise ConfigError(
            f"{folder}: no efficientnet-b0*.safetensors there; put model.safetensors of "
            "google/efficientnet-b0 (transformers, EfficientNetModel) there under such a name, or start from "
            "random weights"
        )
    try:
        state = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(found[0]).items()}
    except Exception as error:  # safetensors raises about anything on foreign bytes
        raise ConfigError(f"{found[0]}: cannot be read as weights ({error})") from error
    own = network.trunk.state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            raise ConfigError(
                f"{found[0]}: not the weights of EfficientNet-B0, {name} {tuple(tensor.shape)} is missing"
            )
    network.trunk.load_state_dict({name: state[name] for name in own})
