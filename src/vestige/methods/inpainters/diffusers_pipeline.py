"""Inpainting by a pipeline of the package diffusers, such as Stable Diffusion's."""

import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from vestige.errors import ConfigError, DataError
from vestige.methods.inpainters.window import around, bounds
from vestige.methods.reconstructors.base import NAME
from vestige.methods.reconstructors.extras import require

KIND = "diffusers-inpainting"
GRID = 8  # sides of what the pipeline is given are multiples of it
TRIES = 4  # other noise, where the pipeline's own safety checker withholds a picture

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class DiffusersInpaintingOptions(BaseModel):
    """An inpainting pipeline from the Hugging Face hub or a folder.

    Attributes:
        hub: name at the hub, or a local folder with model_index.json and weights as safetensors.
        revision: branch, tag or commit at the hub; None: its main branch.
        variant: of the weights' files, such as "fp16"; None: the plain ones. Computed in float32.
        prompt: what it is asked to paint; "" leaves it to the surroundings.
        steps: of the sampler.
        guidance: scale of classifier-free guidance; 1: none.
        strength: how much noise the old content is covered with; 1: nothing of it is left.
        seed: with the picture and the mask it decides the noise.
        side: the longer side of what the pipeline is given, in pixels; the size that it was trained with.
        name: of the inpainter; None: the last part of the hub's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["diffusers-inpainting"] = "diffusers-inpainting"
    hub: str = Field(min_length=1)
    revision: str | None = None
    variant: str | None = None
    prompt: str = ""
    steps: int = Field(30, ge=1, le=1000)
    guidance: float = Field(5.0, ge=1, le=50)
    strength: float = Field(1.0, gt=0, le=1)
    seed: int = Field(0, ge=0)
    side: int = Field(512, ge=64, le=2048, multiple_of=GRID)
    name: str | None = Field(None, pattern=NAME)

    @property
    def called(self) -> str:
        """The inpainter's name."""
        short = re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(self.hub).name).lstrip("._+-")
        return self.name or short or KIND

    def build(self) -> "PipelineInpainter":
        """Load the pipeline.

        Raises:
            ConfigError: the package diffusers is missing; the pipeline cannot be had, or cannot inpaint.
        """
        return PipelineInpainter(_load(self), self)


class PipelineInpainter:
    """A pipeline as an `Inpaint`.

    It is given a window of at least `side` pixels around the mask, scaled so that its longer side is `side`;
    what it paints is scaled back. Noise follows from `seed`, picture and mask.

    Attributes:
        description: all that decides the result; of the weights only where they come from.
    """

    def __init__(self, pipeline: Any, options: DiffusersInpaintingOptions) -> None:
        self._pipeline = pipeline
        self._options = options
        self.description = f"{type(pipeline).__name__} {options.model_dump_json(exclude={'name'})}"

    def __call__(self, pixels: Pixels, mask: Mask) -> Pixels:
        """uint8 [H, W, 3], bool [H, W] -> the picture with the mask's pixels painted.

        Raises:
            DataError: the pipeline's safety checker withheld what was painted, each time.
        """
        made: Pixels = pixels.copy()
        box = bounds(mask)
        if box is None:
            return made
        window = around(box, self._options.side, pixels.shape[0], pixels.shape[1])
        part, hole = Image.fromarray(pixels[window.slices]), Image.fromarray(mask[window.slices])
        scale = self._options.side / max(part.size)
        size = tuple(max(GRID, round(length * scale / GRID) * GRID) for length in part.size)
        painted = self._painted(
            part.resize((size[0], size[1]), Image.Resampling.LANCZOS),
            # Any touch of the mask counts, so that none of the old content stays inside it.
            _enlarged(hole, size[0], size[1]),
            self._noise(pixels, mask),
        )
        back = np.asarray(painted.resize(part.size, Image.Resampling.LANCZOS))
        inside = mask[window.slices]
        made[window.slices][inside] = back[inside]
        return made

    def _noise(self, pixels: Pixels, mask: Mask) -> int:
        digest = hashlib.sha256(f"{self._options.seed} {pixels.shape}".encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
        digest.update(np.packbits(mask).tobytes())
        return int.from_bytes(digest.digest()[:7], "little")

    def _painted(self, part: Image.Image, hole: Image.Image, noise: int) -> Image.Image:
        options = self._options
        for attempt in range(TRIES):
            with torch.inference_mode():
                answer = self._pipeline(
                    prompt=options.prompt,
                    image=part,
                    mask_image=hole,
                    width=part.width,
                    height=part.height,
                    num_inference_steps=options.steps,
                    guidance_scale=options.guidance,
                    strength=options.strength,
                    generator=torch.Generator().manual_seed(noise + attempt),
                    output_type="np",
                )
            withheld = getattr(answer, "nsfw_content_detected", None)
            if not (withheld and any(withheld)):
                levels = np.rint(np.clip(np.asarray(answer.images[0], dtype=np.float64), 0, 1) * 255)
                return Image.fromarray(levels.astype(np.uint8))
        raise DataError(
            f"{options.called}: the pipeline's safety checker withheld what it painted, {TRIES} times; use "
            "another seed, or leave the picture out"
        )


def _enlarged(hole: Image.Image, width: int, height: int) -> Image.Image:
    grown = hole.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    return grown.point([0] + [255] * 255)


def _load(options: DiffusersInpaintingOptions) -> Any:
    kind = require("diffusers", KIND).AutoPipelineForInpainting
    try:
        pipeline = kind.from_pretrained(
            options.hub,
            revision=options.revision,
            variant=options.variant,
            use_safetensors=True,
        )
    except Exception as error:  # no network, no such name, no permission, a foreign file: one of many types
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ConfigError(
            f"{options.hub}: no inpainting pipeline (weights as safetensors) can be had, from a folder of "
            f"this name or from the Hugging Face hub ({reason}); name another, or download it and name its "
            "folder"
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.float32)
