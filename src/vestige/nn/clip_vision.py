"""A CLIP image tower through transformers: images in [0, 1] -> projected embedding.

Weights are a safetensors file under transformers' names for `CLIPVisionModelWithProjection`.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import load_file
from torch import Tensor, nn

from vestige.errors import ConfigError

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
WEIGHTS_NOTE = "CLIP image tower (Radford et al., 2021), OpenAI's weights, MIT"


class ClipTowerConfig(BaseModel):
    """Shape of the tower; the default is ViT-B/16, which ViT-L/14 replaces by 1024, 24, 16, 4096, 14, 768."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(768, ge=8)
    layers: int = Field(12, ge=1)
    heads: int = Field(12, ge=1)
    feed_forward: int = Field(3072, ge=8)
    patch: int = Field(16, ge=4)
    image: int = Field(224, ge=32)
    projection: int = Field(512, ge=4)
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"

    @model_validator(mode="after")
    def _divisible(self) -> "ClipTowerConfig":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class ClipTower(nn.Module):
    """Vision transformer with the projection into CLIP's common space; normalisation inside."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ClipTowerConfig) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # takes seconds to import

        self.image = config.image
        self.tower = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.feed_forward,
                patch_size=config.patch,
                image_size=config.image,
                projection_dim=config.projection,
                hidden_act=config.activation,
                attn_implementation="sdpa",  # type: ignore[call-arg,unused-ignore]
            )
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Projected embedding of the class token.

        Args:
            images: float [B, 3, S, S] in [0, 1]; where S is not the tower's own size, its position
                embeddings are interpolated.

        Returns:
            [B, projection].
        """
        normal = (images - self.mean) / self.deviation
        other = images.shape[-1] != self.image
        found: Tensor = self.tower(pixel_values=normal, interpolate_pos_encoding=other).image_embeds
        return found


def load_tower(tower: ClipTower, folder: Path) -> None:
    """Load the weights, float16 or float32, from the folder of starting weights.

    Raises:
        ConfigError: no such file there, or it holds another network.
    """
    found = sorted(folder.glob("**/clip*.safetensors"))
    if not found:
        raise ConfigError(
            f"{folder}: no clip*.safetensors there; put the image tower's model.safetensors (transformers, "
            "CLIPVisionModelWithProjection) there under such a name"
        )
    try:
        state = load_file(found[0])
    except Exception as error:  # safetensors raises about anything on foreign bytes
        raise ConfigError(f"{found[0]}: cannot be read as weights ({error})") from error
    own = tower.tower.state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            raise ConfigError(
                f"{found[0]}: not the weights of this image tower, {name} {tuple(tensor.shape)} is missing"
            )
    tower.tower.load_state_dict({name: state[name].float() for name in own})
