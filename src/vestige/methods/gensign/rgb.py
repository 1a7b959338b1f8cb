"""The RGB stream: a CLIP image tower whose attention is tuned by low-rank updates (GenSign, section 3.3).

What comes before the first tuned layer never changes in training; it is computed once per view.
"""

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, TowerEnd, TowerStart, load_tower
from vestige.nn.pixels import FromGreyLevels, Middle, ToGreyLevels

Projection = Literal["q_proj", "k_proj", "v_proj", "out_proj"]


class LoraOptions(BaseModel):
    """Low-rank updates of attention projections; the defaults are the authors'.

    Attributes:
        rank: of the updates.
        alpha: updates are scaled by alpha / rank.
        dropout: before the updates, in training.
        targets: which projections get one.
        layers: only the last so many layers; None: all of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(4, ge=1)
    alpha: float = Field(4, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: tuple[Projection, ...] = Field(("q_proj", "k_proj", "v_proj", "out_proj"), min_length=1)
    layers: int | None = Field(None, ge=1)


class RgbOptions(BaseModel):
    """The RGB stream. The paper's tower is ViT-L/14, here it is ViT-B/16 unless the recipe says otherwise.

    Attributes:
        tower: its shape.
        hub: name at the Hugging Face hub, where the folder of starting weights has no tower.
        output: the class token's output, or its projection into CLIP's common space.
        view: what the tower sees of a view that is larger than its own size: the middle of that size, or the
            whole with interpolated position embeddings. Of smaller views it always sees the whole.
        lora: None: the tower is not tuned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tower: ClipTowerConfig = ClipTowerConfig()
    hub: str | None = None
    output: Literal["pooled", "projected"] = "pooled"
    view: Literal["middle", "whole"] = "middle"
    lora: LoraOptions | None = LoraOptions()

    @model_validator(mode="after")
    def _enough_layers(self) -> "RgbOptions":
        if self.lora is not None and (self.lora.layers or 0) > self.tower.layers:
            raise ValueError(
                f"lora.layers ({self.lora.layers}) must not be more than tower.layers ({self.tower.layers})"
            )
        return self

    def first_tuned(self) -> int:
        """Number of layers before the first tuned one; all of them if none is tuned."""
        if self.lora is None:
            return self.tower.layers
        return self.tower.layers - (self.lora.layers or self.tower.layers)


class RgbStream(nn.Module):
    """The tower, cut before its first tuned layer.

    Attributes:
        frozen: images [B, 3, H, W] in [0, 1] -> what enters the first tuned layer: the output [B, W] where
            none is tuned, hidden states [B, T, W], or grey levels [B, 3, S, S] where all are.
        tuned: what `frozen` says -> output of the tower [B, width].
        width: of the output.
    """

    def __init__(self, options: RgbOptions, tower: ClipTower) -> None:
        super().__init__()
        self.options = options
        projected = options.output == "projected"
        self.width = options.tower.projection if projected else options.tower.width
        tower.requires_grad_(False)
        first = options.first_tuned()
        start, end = TowerStart(tower, first), TowerEnd(tower, first, projected)
        middle = Middle(options.tower.image if options.view == "middle" else None)
        if options.lora is None:
            self.frozen, self.tuned = nn.Sequential(middle, start, end), nn.Sequential()
        elif first:
            self.frozen, self.tuned = nn.Sequential(middle, start), nn.Sequential(end)
        else:
            # Hidden states would be no smaller than the picture, and not exact.
            self.frozen = nn.Sequential(middle, ToGreyLevels())
            self.tuned = nn.Sequential(FromGreyLevels(), start, end)
        if options.lora is not None:
            add_lora(self.tuned, options.lora)

    def part(self) -> FrozenPart:
        """What is computed once per view."""
        options, first = self.options, self.options.first_tuned()
        if options.lora is None:
            what = f"{options.output} output of a CLIP image tower {options.tower.model_dump_json()}"
        elif first:
            what = f"input of layer {first} of a CLIP image tower {options.tower.model_dump_json()}"
        else:
            what = f"grey levels for an image tower of {options.tower.image} pixels"
        return FrozenPart(f"{what}, {options.view} of the view", self.frozen)

    def forward(self, features: Tensor) -> Tensor:
        """What `frozen` says -> [B, width]."""
        found: Tensor = self.tuned(features)
        return found


def rgb_stream(options: RgbOptions, weights: Path | None) -> RgbStream:
    """The stream with CLIP's weights from the folder `weights` or from the hub.

    Raises:
        ConfigError: they cannot be had, or are those of another tower.
    """
    tower = ClipTower(options.tower)
    if weights is not None:
        load_tower(tower, weights, options.hub)
    return RgbStream(options, tower)


def add_lora(module: nn.Module, options: LoraOptions) -> None:
    """Put low-rank updates (Hu et al., 2022) beside the projections in `module`, in place; at first zero."""
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds to import

    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=list(options.targets),
    )
    inject_adapter_in_model(config, module)


@torch.no_grad()
def merge_lora(module: nn.Module) -> None:
    """Add the low-rank updates in `module` to the weights beside them and leave plain layers, in place."""
    from peft.tuners.lora import LoraLayer

    updated = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in updated:
        layer.merge()
        module.set_submodule(name, layer.get_base_layer())
