"""What looks at the picture: a CLIP image tower, plain or tuned by low-rank updates, or EfficientNet-Lite0.

What comes before the first tuned layer never changes in training; it is computed once per view.
"""

import copy
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart
from vestige.methods.gensign.rgb import LoraOptions, add_lora, merge_lora
from vestige.nn.clip_middle import TowerMiddle
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, TowerStart, TowerTokens, load_tower
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, imagenet_weights
from vestige.nn.moments import Moments
from vestige.nn.pixels import FromGreyLevels, Middle, ToGreyLevels
from vestige.nn.statistics import Standardise, mean_and_deviation
from vestige.nn.weights import load_weights

EIGHTH = 3  # the first block of EfficientNet-Lite0 at an eighth of the resolution
LAST_BLOCK = len(BLOCKS) - 1
LIMIT = 6.0  # deviations; CLIP has single tokens far beyond


class ClipOptions(BaseModel):
    """A CLIP image tower, which sees the whole view; with views of side S its map has sides of S / patch.

    Where S is not the tower's own size, its position embeddings are interpolated.

    Attributes:
        tower: its shape; ViT-B/16 unless the recipe says otherwise. Patches of 14 pixels fill views of 224,
            but not every other one: what is left at the right and bottom is not looked at, and the map is
            taken to cover the whole view all the same.
        hub: name at the Hugging Face hub, where the folder of starting weights has no tower.
        layers: after which layers tokens are taken, ascending; 0 is what enters the first one. Later layers
            are not computed.
        lora: low-rank updates, `lora.layers` counted back from the last of `layers`; None: nothing is tuned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["clip"] = "clip"
    tower: ClipTowerConfig = ClipTowerConfig()
    hub: str | None = None
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field((6, 10), min_length=1)
    lora: LoraOptions | None = None

    @model_validator(mode="after")
    def _layers_there(self) -> "ClipOptions":
        if list(self.layers) != sorted(set(self.layers)):
            raise ValueError(f"layers must ascend, got {list(self.layers)}")
        last = self.layers[-1]
        if last > self.tower.layers:
            raise ValueError(
                f"layers {list(self.layers)} must not be more than tower.layers ({self.tower.layers})"
            )
        if self.lora is not None and not 1 <= (self.lora.layers or last) <= last:
            raise ValueError(
                f"lora.layers ({self.lora.layers or 'all'}) must be layers up to the last of layers ({last})"
            )
        return self

    def first_tuned(self) -> int:
        """Number of layers before the first tuned one; all that are used if none is tuned."""
        last = self.layers[-1]
        return last if self.lora is None else last - (self.lora.layers or last)


class EfficientNetOptions(BaseModel):
    """EfficientNet-Lite0. Its map's grid has sides of S / 8 (`fine` up to 4), S / 16 (to 10) or S / 32.

    Attributes:
        block: the last block that is used.
        fine: an earlier block, whose activations are looked at, too; the map has its grid.
        frozen_blocks: the first so many blocks are not tuned; what leaves them is kept on disk.
        start: of the weights. With "random" all is trained, and so is the batch normalisation; ImageNet's
            statistics stay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["efficientnet"] = "efficientnet"
    block: int = Field(10, ge=EIGHTH, le=LAST_BLOCK)
    fine: int = Field(4, ge=EIGHTH, le=LAST_BLOCK)
    frozen_blocks: int = Field(5, ge=0, le=LAST_BLOCK + 1)
    start: Literal["imagenet", "random"] = "imagenet"

    @model_validator(mode="after")
    def _in_order(self) -> "EfficientNetOptions":
        if not self.frozen_blocks - 1 <= self.fine <= self.block:
            raise ValueError(
                f"fine ({self.fine}) must lie between the last frozen block ({self.frozen_blocks - 1}) and "
                f"block ({self.block})"
            )
        if self.start == "random" and self.frozen_blocks:
            raise ValueError("blocks with random weights must be trained: start random needs frozen_blocks 0")
        return self

    @property
    def taps(self) -> tuple[int, ...]:
        """Blocks that are looked at, the finest first."""
        return tuple(sorted({self.fine, self.block}))


TowerOptions = Annotated[ClipOptions | EfficientNetOptions, Field(discriminator="kind")]


class Seen(NamedTuple):
    """What a tower says of a view.

    Attributes:
        maps: [B, D_i, h_i, w_i], standardised, the first the finest.
        summary: [B, E], standardised, of the view as a whole.
    """

    maps: tuple[Tensor, ...]
    summary: Tensor


class Tower(nn.Module):
    """A tower, cut before its first tuned layer, and the standardisation of what it says.

    Attributes:
        channels: D_i of each map.
        width: E of the summary.
    """

    channels: tuple[int, ...]
    width: int

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.of_maps = nn.ModuleList(Standardise(some) for some in channels)
        self.of_summary = Standardise(width)
        self.levels = FromGreyLevels()

    def part(self) -> FrozenPart:
        """What is computed once per view."""
        raise NotImplementedError

    def look(self, kept: Tensor) -> Seen:
        """What the part says -> maps and summary before they are standardised."""
        raise NotImplementedError

    def forward(self, kept: Tensor) -> Seen:
        """What the part says -> maps and summary, without their rare extremes."""
        seen = self.look(kept)
        maps = [
            _bounded(standardise(found.movedim(1, -1))).movedim(-1, 1)
            for standardise, found in zip(self.of_maps, seen.maps, strict=True)
        ]
        return Seen(tuple(maps), _bounded(self.of_summary(seen.summary)))

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Fit the standardisation to what the tower says before any tuning; channels of maps over all places.

        Args:
            batches: what the part says of some views, which may differ in size.
        """
        maps, summary = [Moments(some) for some in self.channels], Moments(self.width)
        for kept in batches:
            seen = self.look(kept)
            summary.add(seen.summary)
            for moments, found in zip(maps, seen.maps, strict=True):
                moments.add(found.movedim(1, -1))
        if not summary.count:
            return
        summary.fit(self.of_summary)
        for moments, standardise in zip(maps, self._of_maps(), strict=True):
            moments.fit(standardise)

    def fresh_parameters(self) -> list[nn.Parameter]:
        """Trained parameters without a pretrained start."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def exportable(self) -> "Tower":
        """The same from simpler layers; this tower stays as it is."""
        return self

    def _of_maps(self) -> Iterator[Standardise]:
        for standardise in self.of_maps:
            assert isinstance(standardise, Standardise)
            yield standardise


class Clip(Tower):
    """Tokens of a CLIP image tower; the summary is the class tokens of all layers looked at."""

    def __init__(self, options: ClipOptions, tower: ClipTower) -> None:
        width, layers = options.tower.width, options.layers
        super().__init__((width,) * len(layers), width * len(layers))
        self.options = options
        tower.requires_grad_(False)
        first = options.first_tuned()
        self.kept = tuple(sorted({*(layer for layer in layers if layer < first), first}))
        self.frozen: nn.Module
        self.start: TowerStart | None = None
        self.tuned: TowerMiddle | None = None
        if first or options.lora is None:
            tokens = TowerTokens(tower, self.kept)
            self.frozen, self.description = tokens, tokens.description
            later = tuple(layer for layer in layers if layer > first)
            self.tuned = TowerMiddle(tower, first, later) if later else None
        else:
            # Hidden states would be no smaller than the picture, and not exact.
            self.frozen, self.description = _grey_levels()
            self.start = TowerStart(tower, layers[-1])
        if options.lora is not None:
            for tuned in filter(None, (self.start, self.tuned)):
                add_lora(tuned, options.lora)

    def part(self) -> FrozenPart:
        """Tokens after the layers that are not tuned, or grey levels where all are."""
        return FrozenPart(self.description, self.frozen)

    def look(self, kept: Tensor) -> Seen:
        """Tokens [B, layers * (1 + T), width] or grey levels [B, 3, S, S] -> maps, class tokens."""
        found = [hidden for layer, hidden in self._hidden(kept) if layer in self.options.layers]
        # T is a square, as views are.
        side = math.isqrt(found[0].shape[1] - 1)
        width = self.options.tower.width
        maps = [hidden[:, 1:].reshape(-1, side, side, width).movedim(-1, 1) for hidden in found]
        return Seen(tuple(maps), torch.cat([hidden[:, 0] for hidden in found], 1))

    def _hidden(self, kept: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Layers with the tokens [B, 1 + T, width] after them, ascending."""
        if self.start is not None:
            yield from enumerate(self.start.hidden(self.levels(kept)))
            return
        cut = kept.chunk(len(self.kept), 1)
        yield from zip(self.kept, cut, strict=True)
        if self.tuned is not None:
            yield from zip(self.tuned.taps, self.tuned(cut[-1]), strict=True)

    def exportable(self) -> "Clip":
        """A copy with the low-rank updates merged into the weights; itself where there are none."""
        if self.options.lora is None:
            return self
        merged = copy.deepcopy(self)
        merge_lora(merged)
        return merged


class EfficientNet(Tower):
    """Activations of EfficientNet-Lite0; the summary is mean and deviation of the last map's channels."""

    def __init__(self, options: EfficientNetOptions, trunk: EfficientNetLite0) -> None:
        channels = tuple(EfficientNetLite0.channels(tap) for tap in options.taps)
        super().__init__(channels, 2 * channels[-1])
        self.options = options
        first = options.frozen_blocks
        later = list(trunk._blocks)[first : options.block + 1]
        del trunk._blocks[first:]
        trunk.requires_grad_(first == 0)
        self.blocks = nn.ModuleList(later)
        self.stem = None if first else _LiteStart(trunk, -1)
        self.frozen: nn.Module
        if first:
            self.frozen = _LiteStart(trunk, first - 1)
            self.description = f"activations of EfficientNet-Lite0 after block {first - 1}"
        else:
            self.frozen, self.description = _grey_levels()

    def part(self) -> FrozenPart:
        """Activations of the last frozen block, or grey levels where nothing is frozen."""
        return FrozenPart(self.description, self.frozen)

    def look(self, kept: Tensor) -> Seen:
        """Activations [B, C, h, w] or grey levels [B, 3, S, S] -> maps, mean and deviation of the last."""
        x = kept if self.stem is None else self.stem(self.levels(kept))
        first = self.options.frozen_blocks
        found = [x] if first - 1 in self.options.taps else []
        for index, block in enumerate(self.blocks, start=first):
            x = block(x)
            if index in self.options.taps:
                found.append(x)
        return Seen(tuple(found), mean_and_deviation(found[-1].float()))

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Fit the standardisation; of random weights the batch normalisation's statistics, too."""
        norms = [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]
        norms = norms if self.options.start == "random" else []
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
            norm.train()
        super().prepare(batches)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def fresh_parameters(self) -> list[nn.Parameter]:
        """All of them with a random start, else none."""
        return super().fresh_parameters() if self.options.start == "random" else []

    def train(self, mode: bool = True) -> "EfficientNet":
        """Training mode, but batch normalisation keeps ImageNet's statistics where it starts from them."""
        super().train(mode and self.options.start == "random")
        self.training = mode
        return self


class _LiteStart(nn.Module):
    """EfficientNet-Lite0 to the end of a block, -1 for the stem."""

    def __init__(self, trunk: EfficientNetLite0, tap: int) -> None:
        super().__init__()
        self.trunk, self.tap = trunk, tap

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, S, S] in [0, 1] -> [B, C, s, s]."""
        found: Tensor = self.trunk(images, (self.tap,))[0]
        return found


def _grey_levels() -> tuple[nn.Module, str]:
    """What is kept where everything is trained, and its description, which other methods use, too."""
    return nn.Sequential(Middle(None), ToGreyLevels()), "grey levels, side of the view"


def _bounded(values: Tensor) -> Tensor:
    return values.clamp(-LIMIT, LIMIT)


def build_tower(options: TowerOptions, weights: Path | None) -> Tower:
    """The tower with its starting weights from the folder `weights` or from the hub; None: without.

    Raises:
        ConfigError: they cannot be had, or are those of another network.
    """
    if isinstance(options, ClipOptions):
        tower = ClipTower(options.tower)
        if weights is not None:
            load_tower(tower, weights, options.hub)
        return Clip(options, tower)
    trunk = EfficientNetLite0()
    if options.start == "imagenet" and weights is not None:
        load_weights(trunk, imagenet_weights(weights))
    elif options.start == "random":
        for module in trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return EfficientNet(options, trunk)
