"""Stages I and II of GenSign: what the reconstructor and the extractor learn (sections 3.1 and 3.2)."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign.dair import SMALL, Dair, DairConfig
from vestige.methods.gensign.extractor import SMALL as SMALL_EXTRACTOR
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.files import NETWORK, find_dair, load_dair, load_extractor
from vestige.methods.gensign.structure import StructureSpace
from vestige.methods.stage import Stage, StageConfig, Task
from vestige.nn.perceptual import PerceptualDistance, PerceptualKind
from vestige.nn.perceptual_weights import perceptual_distance

DENOISER = "denoiser"
AMPLIFIED = 8  # residuals are shown so many times as strong, about a middle grey


class DairStage(StageConfig):
    """Stage I. Images are compared in [-1, 1], as the paper's weights of the two losses expect.

    Attributes:
        structures: how many are drawn for a batch: 1 is one for all its images, `batch` one for each.
        perceptual: which perceptual distance; its weights come from the folder of starting weights. None:
            squared error alone.
        squared_weight, perceptual_weight: of the two losses.
    """

    model: DairConfig = SMALL
    space: StructureSpace = StructureSpace()
    structures: int = Field(8, ge=1)
    perceptual: PerceptualKind | None = "lpips-vgg"
    squared_weight: float = Field(1.0, ge=0)
    perceptual_weight: float = Field(0.25, ge=0)


class DairTask(Task):
    """Reconstruct pictures by structures that are drawn anew for every batch."""

    def __init__(self, config: DairStage, perceptual: PerceptualDistance | None) -> None:
        super().__init__()
        self.config = config
        self.network = Dair(config.model)
        self.perceptual = perceptual

    def loss(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error in [-1, 1] and perceptual distance."""
        config = self.config
        made = self.network(images, config.space.draw_for(len(images), config.structures, generator)).float()
        squared = F.mse_loss(made * 2, images * 2)
        total = config.squared_weight * squared
        parts = {"squared": squared}
        if self.perceptual is not None:
            parts["perceptual"] = self.perceptual(made, images).mean()
            total = total + config.perceptual_weight * parts["perceptual"]
        return {"loss": total, **parts}

    def measure(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """PSNR in dB and perceptual distance, one structure for each image, clamped to [0, 1]."""
        made = self._reconstruct(images, generator).clamp(0, 1)
        found = {"psnr": psnr(made, images)}
        if self.perceptual is not None:
            found["perceptual"] = self.perceptual(made, images)
        return found

    def samples(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Image, reconstruction, amplified residual."""
        made = self._reconstruct(images, generator)
        return {"image": images, "reconstruction": made, "residual": amplified(images - made)}

    def _reconstruct(self, images: Tensor, generator: torch.Generator) -> Tensor:
        made: Tensor = self.network(images, self.config.space.draw_for(len(images), len(images), generator))
        return made


def build_dair(config: DairStage, run: Path, weights: Path | None) -> DairTask:
    """Stage I with fresh weights.

    Raises:
        ConfigError: the perceptual distance's weights are missing.
    """
    perceptual = None
    if config.perceptual is not None:
        if weights is None:
            raise ConfigError(
                f"the perceptual distance {config.perceptual} needs its weights: give their folder with "
                "--weights, or choose another one (perceptual in the stage dair)"
            )
        perceptual = perceptual_distance(config.perceptual, weights)
    return DairTask(config, perceptual)


class ExtractorStage(StageConfig):
    """Stage II.

    Attributes:
        target: "residual" is the method: predict image minus reconstruction. "noise" trains the denoiser to
            compare with: predict Gaussian noise that was added to the picture; no reconstructor needed.
        levels: only structures with at most so many stages are drawn; None: as the reconstructor's own.
        noise: standard deviations in grey levels of 0-255, drawn uniformly for each image.
    """

    learning_rate: float = Field(3e-4, gt=0)
    model: ExtractorConfig = SMALL_EXTRACTOR
    target: Literal["residual", "noise"] = "residual"
    structures: int = Field(8, ge=1)
    levels: int | None = Field(None, ge=1, le=3)
    noise: tuple[float, float] = (1.0, 15.0)

    @model_validator(mode="after")
    def _possible(self) -> "ExtractorStage":
        low, high = self.noise
        if not 0 <= low <= high <= 255 or high == 0:
            raise ValueError(f"noise must be a range within 0 to 255, got {low} to {high}")
        return self


class ExtractorTask(Task):
    """Predict the trace that a simulated generator left on a picture (METHODS: target I - R(I))."""

    def __init__(self, config: ExtractorStage, dair: Dair | None, space: StructureSpace) -> None:
        super().__init__()
        # In a list, because it is only compared with: no part of what the stage follows from.
        self.denoiser: list[Extractor] = []
        self.config = config
        self.network = Extractor(config.model)
        # Residuals are small: to begin with none spares the first thousands of steps.
        nn.init.zeros_(self.network.last.weight)
        nn.init.zeros_(self.network.last.bias)  # type: ignore[arg-type]
        self.dair = None if dair is None else dair.eval().requires_grad_(False)
        self.space = space if config.levels is None else space.model_copy(update={"levels": config.levels})

    def pairs(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the extractor is shown, in [0, 1], and what it should say, in units of [-1, 1]."""
        if self.dair is None:
            low, high = self.config.noise
            strength = low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=generator)
            noise = torch.randn(images.shape, generator=generator) * strength / 255
            noisy = images + noise.to(images.device)
            return noisy, (noisy - images) * 2
        # In bfloat16 the target would be rounded to a third of a grey level.
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            drawn = self.space.draw_for(len(images), self.config.structures, generator)
            made = self.dair(images, drawn)
        shown = made if self.config.model.input == "reconstructed" else images
        return shown, (images - made) * 2

    def loss(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean squared error of the predicted residual, in units of [-1, 1]."""
        shown, target = self.pairs(images, generator)
        return {"loss": F.mse_loss(self.network(shown).float(), target)}

    def measure(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Squared error of predicting zero and of the prediction, and what the second saves, in dB.

        Beside the extractor stands the denoiser, if there is one: `denoiser_gain` as it is, and
        `denoiser_best_gain` with the one factor for each picture that suits it best.
        """
        shown, target = self.pairs(images, generator)
        nothing = _energy(target)
        error = _energy(self.network(shown) - target)
        found = {"zero": nothing, "error": error, "gain": _decibels(nothing, error)}
        for denoiser in self.denoiser:
            # What a reconstruction adds is I - R(I) with the other sign.
            said = denoiser.to(shown.device)(shown) * (
                -1 if self.config.model.input == "reconstructed" else 1
            )
            factor = (said * target).mean((1, 2, 3)) / _energy(said).clamp(min=1e-12)
            best = said * factor[:, None, None, None]
            for name, guess in (("denoiser", said), ("denoiser_best", best)):
                found[f"{name}_error"] = _energy(guess - target)
                found[f"{name}_gain"] = _decibels(nothing, found[f"{name}_error"])
        return found

    def samples(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Image, what was shown, amplified residual, amplified prediction."""
        shown, target = self.pairs(images, generator)
        said = self.network(shown)
        return {
            "image": images,
            "shown": shown,
            "residual": amplified(target / 2),
            "signature": amplified(said / 2),
        }


def build_extractor(config: ExtractorStage, run: Path, weights: Path | None) -> ExtractorTask:
    """Stage II with fresh weights, and the reconstructor of the run or of the folder of weights.

    A denoiser there (an extractor of target "noise" in a folder denoiser/) is measured beside it.

    Raises:
        ConfigError: no trained reconstructor there, or one of fewer levels than asked for.
    """
    if config.target == "noise":
        return ExtractorTask(config, None, StructureSpace())
    folder = find_dair(run, weights)
    dair, space = load_dair(folder)
    if config.levels is not None and config.levels > space.levels:
        raise ConfigError(
            f"{folder}: this reconstructor was trained with levels {space.levels}, the stage extractor asks "
            f"for {config.levels}"
        )
    task = ExtractorTask(config, dair, space)
    # Last, so that what is only compared with has no say in how the extractor begins.
    for place in (run, weights):
        if place is not None and not task.denoiser and (place / DENOISER / NETWORK).exists():
            task.denoiser = [load_extractor(place / DENOISER)]
    return task


def _energy(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3))


def _decibels(one: Tensor, other: Tensor) -> Tensor:
    return 10 * (one.clamp(min=1e-12) / other.clamp(min=1e-12)).log10()


def psnr(one: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of images [B, 3, H, W] in [0, 1]: [B], dB."""
    return -10 * (one - other).square().mean((1, 2, 3)).clamp(min=1e-10).log10()


def amplified(residual: Tensor) -> Tensor:
    """A residual as a picture: [B, 3, H, W] about 0 -> [0, 1]."""
    return (residual * AMPLIFIED + 0.5).clamp(0, 1)


STAGES = (
    Stage("dair", DairStage, build_dair),
    Stage("extractor", ExtractorStage, build_extractor),
)
