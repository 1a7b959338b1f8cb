"""A CLIP image tower through transformers: images in [0, 1] -> projected embedding.

Weights are a safetensors file under transformers' names for `CLIPVisionModelWithProjection`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

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

        self.config = config
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

    @property
    def description(self) -> str:
        """What `forward` gives, as far as the weights do not say it: for `FrozenPart`."""
        return f"projected output of a CLIP image tower {self.config.model_dump_json()}, whole of the view"

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


class TowerStart(nn.Module):
    """The tower from the image to the hidden states that enter a layer; normalisation inside.

    Args:
        tower: whose modules these are; they are not copied.
        layers: how many of its layers are run.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, tower: ClipTower, layers: int) -> None:
        super().__init__()
        vision = tower.tower.vision_model
        self.image = tower.image
        self.embeddings = vision.embeddings
        self.norm = vision.pre_layrnorm
        self.layers = nn.ModuleList(vision.encoder.layers[:layers])
        self.register_buffer("mean", tower.mean)
        self.register_buffer("deviation", tower.deviation)

    def forward(self, images: Tensor) -> Tensor:
        """Images float [B, 3, S, S] in [0, 1], S as for `ClipTower` -> [B, 1 + patches, width]."""
        *_, last = self.hidden(images)
        return last

    def hidden(self, images: Tensor, class_at_last: bool = False) -> Iterator[Tensor]:
        """Hidden states [B, 1 + patches, width] that enter the first layer, and those after each layer.

        Args:
            class_at_last: of the last layer the class token alone, [B, 1, width].
        """
        normal = (images - self.mean) / self.deviation
        other = images.shape[-1] != self.image
        x: Tensor = self.norm(self.embeddings(normal, interpolate_pos_encoding=other))
        yield x
        for number, layer in enumerate(self.layers, 1):
            x = attend(layer, x)
            if class_at_last and number == len(self.layers):
                x = x[:, :1]  # nothing reads the other tokens any more
            x = feed_forward(layer, x)
            yield x


class TowerEnd(nn.Module):
    """The tower from the hidden states that enter a layer to the class token's output.

    Args:
        tower: whose modules these are; they are not copied.
        first: the layer that the hidden states enter; the number of layers if they have left the last one.
        projected: whether the output goes into CLIP's common space.
    """

    def __init__(self, tower: ClipTower, first: int, projected: bool) -> None:
        super().__init__()
        vision = tower.tower.vision_model
        self.layers = nn.ModuleList(vision.encoder.layers[first:])
        self.norm = vision.post_layernorm
        self.projection = tower.tower.visual_projection if projected else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states [B, 1 + patches, width] -> [B, width] or [B, projection]."""
        for index, layer in enumerate(self.layers):
            hidden = attend(layer, hidden)
            if index == len(self.layers) - 1:
                hidden = hidden[:, :1]  # nothing reads the other tokens any more
            hidden = feed_forward(layer, hidden)
        found: Tensor = self.projection(self.norm(hidden[:, 0]))
        return found


class TowerLayers(nn.Module):
    """What the tower says after each of its layers, summed up over the image; normalisation inside.

    Args:
        tower: whose modules these are; they are not copied.
        layers: after which layers, ascending; 0 is what enters the first one. None: all of them. What
            comes after the last of them is not computed.
        class_only: leave mean and deviation out.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, tower: ClipTower, layers: Sequence[int] | None = None, class_only: bool = False
    ) -> None:
        super().__init__()
        self.class_only = class_only
        self.taps = tuple(range(tower.config.layers + 1)) if layers is None else tuple(layers)
        self.start = TowerStart(tower, max(self.taps))
        whole = layers is None
        self.description = (
            f"{'class token' if class_only else 'class token, mean and deviation of patch tokens'} after "
            f"{'all' if whole else self.taps} layers "
            f"of a CLIP image tower {tower.config.model_dump_json()}, whole of the view"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images float [B, 3, S, S] in [0, 1], S as for `ClipTower` -> [B, len(layers), 3, width].

        The three are the class token, and mean and standard deviation of each channel over the patch tokens;
        with `class_only` there is the first alone.
        """
        found = []
        for layer, hidden in enumerate(self.start.hidden(images, self.class_only)):
            if layer in self.taps and self.class_only:
                found.append(hidden[:, :1])
            elif layer in self.taps:
                patches = hidden[:, 1:]
                mean = patches.mean(1, keepdim=True)
                # A floor and no summand: see `vestige.nn.statistics.mean_and_deviation`.
                deviation = ((patches - mean) ** 2).mean(1).clamp(min=1e-8).sqrt()
                found.append(torch.stack([hidden[:, 0], mean[:, 0], deviation], 1))
        return torch.stack(found, 1)


class TowerTokens(nn.Module):
    """All tokens of the tower after some of its layers; normalisation inside.

    Args:
        tower: whose modules these are; they are not copied.
        layers: after which layers, ascending; 0 is what enters the first one. What comes after the last of
            them is not computed.
    """

    def __init__(self, tower: ClipTower, layers: Sequence[int]) -> None:
        super().__init__()
        self.taps = tuple(layers)
        self.start = TowerStart(tower, max(self.taps))
        self.description = (
            f"all tokens after {self.taps} layers of a CLIP image tower {tower.config.model_dump_json()}, "
            "whole of the view"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images float [B, 3, S, S] in [0, 1], S as for `ClipTower` -> [B, len(layers) * (1 + T), width].

        T = (S / patch)^2 patch tokens in rows from the top left; the class token comes first in each layer.
        """
        found = [hidden for layer, hidden in enumerate(self.start.hidden(images)) if layer in self.taps]
        return torch.cat(found, 1)


# transformers changed how a layer is called and what it returns; its parts have stayed the same.
def attend(layer: Any, x: Tensor) -> Tensor:
    """The first half of a layer of the tower, self-attention: [B, tokens, width] -> the same shape."""
    attended: Tensor = layer.self_attn(layer.layer_norm1(x), attention_mask=None)[0]
    return x + attended


def feed_forward(layer: Any, x: Tensor) -> Tensor:
    """The second half of a layer of the tower, each token alone: [B, tokens, width] -> the same shape."""
    fed: Tensor = layer.mlp(layer.layer_norm2(x))
    return x + fed


def load_tower(tower: ClipTower, folder: Path, hub: str | None = None) -> None:
    """Load the weights, float16 or float32, from the folder of starting weights, else from the hub.

    Args:
        folder: searched for clip*.safetensors with all that is below it.
        hub: name at the Hugging Face hub, asked only where the folder has no such file.

    Raises:
        ConfigError: no such file there and no hub to ask, or it cannot be had, or it is another network.
    """
    found = sorted(folder.glob("**/clip*.safetensors"))
    if not found and hub is None:
        raise ConfigError(
            f"{folder}: no clip*.safetensors there; put the image tower's model.safetensors (transformers, "
            "CLIPVisionModelWithProjection) there under such a name"
        )
    if found:
        source, state = str(found[0]), read_safetensors(found[0])
    else:
        assert hub is not None
        source, state = hub, _fetch(hub, tower, folder)
    own = tower.tower.state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            raise ConfigError(
                f"{source}: not the weights of this image tower, {name} {tuple(tensor.shape)} is missing"
            )
    tower.tower.load_state_dict({name: state[name].float() for name in own})


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises about anything on foreign bytes
        raise ConfigError(f"{path}: cannot be read as weights ({error})") from error


def _fetch(hub: str, tower: ClipTower, folder: Path) -> dict[str, Tensor]:
    from transformers import CLIPVisionModelWithProjection

    try:
        found, report = CLIPVisionModelWithProjection.from_pretrained(hub, output_loading_info=True)
    except Exception as error:  # no network, no such name, no permission, a foreign file: one of many types
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ConfigError(
            f"{folder}: no clip*.safetensors there, and {hub} cannot be had from the Hugging Face hub "
            f"({reason}); put its model.safetensors there under such a name"
        ) from error
    # What the file lacks, transformers fills with random numbers.
    if report["missing_keys"]:
        lacking = min(report["missing_keys"])
        raise ConfigError(f"{hub}: not the weights of an image tower, {lacking} is missing")
    # Neither of the two shows in the shapes.
    for name in ("num_attention_heads", "hidden_act"):
        theirs, ours = getattr(found.config, name), getattr(tower.tower.config, name)
        if theirs != ours:
            raise ConfigError(f"{hub}: its {name} is {theirs}, the recipe's tower has {ours}")
    state: dict[str, Tensor] = found.state_dict()
    return state
