"""Where a picture is manipulated: random regions of several kinds."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from vestige.data import mask_shapes
from vestige.errors import DataError

MaskKind = Literal["blob", "superpixels", "polygon", "ellipse", "stroke"]
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

SMALLEST_SIDE = 32
# Regions of larger pictures are drawn on a reduced grid of about this side, and enlarged.
GRID_SIDE = 512
SHAPES = {
    "blob": mask_shapes.blob,
    "polygon": mask_shapes.polygon,
    "ellipse": mask_shapes.ellipse,
    "stroke": mask_shapes.stroke,
}


class MaskOptions(BaseModel):
    """Which regions are drawn, and how large.

    Attributes:
        kinds: one of these is drawn, each with the same probability. "blob": smoothed noise above a
            threshold, in one piece or in several; "superpixels": neighbouring cells of like colour, which
            follow the contours of the picture; "polygon": star-shaped, like an object, with a smooth or an
            angular outline; "ellipse": rotated, or a box with rounded corners; "stroke": one to three strokes
            of a thick brush.
        area: share of the picture, drawn log-uniformly from this range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[MaskKind, ...] = Field(("blob", "superpixels", "polygon", "ellipse", "stroke"), min_length=1)
    area: tuple[float, float] = (0.03, 0.4)

    @field_validator("area")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0.002 <= low <= high <= 0.9:
            raise ValueError(f"must be a range within 0.002 to 0.9, got {low:g} to {high:g}")
        return value


@dataclass(frozen=True)
class Region:
    """A region that was drawn.

    Attributes:
        mask: bool [H, W], never empty and never full.
        kind: of the mask.
        area: the share of the picture that was drawn; the mask's own comes close to it.
    """

    mask: Mask
    kind: MaskKind
    area: float

    def how(self) -> dict[str, Any]:
        """What was drawn, as JSON values."""
        return {"mask": self.kind, "area": self.area}


def draw_mask(pixels: Pixels, options: MaskOptions, rng: np.random.Generator) -> Mask:
    """The mask of `draw_region`, bool [H, W]."""
    return draw_region(pixels, options, rng).mask


def draw_region(pixels: Pixels, options: MaskOptions, rng: np.random.Generator) -> Region:
    """A random region of a picture, uint8 [H, W, 3].

    Raises:
        DataError: a side of the picture is shorter than 32 pixels.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise DataError(
            f"a picture of {width}x{height} pixels is too small to be manipulated in part: "
            f"its sides must be at least {SMALLEST_SIDE} pixels long"
        )
    kind = options.kinds[rng.integers(len(options.kinds))]
    low, high = np.log(options.area)
    area = float(np.exp(rng.uniform(low, high)))
    factor = min(1.0, GRID_SIDE / float(np.sqrt(height * width)))
    grid = (max(1, round(height * factor)), max(1, round(width * factor)))
    if kind == "superpixels":
        mask = mask_shapes.superpixels(_resized(pixels, grid), area, rng)
    else:
        mask = SHAPES[kind](grid, area, rng)
    return Region(_enlarged(mask, (height, width)), kind, area)


def _resized(pixels: Pixels, grid: tuple[int, int]) -> Pixels:
    """A picture as means over the areas of a coarser grid (height, width)."""
    if pixels.shape[:2] == grid:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(grid[::-1], Image.Resampling.BOX))


def _enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask on a finer grid (height, width), with the same area and an outline without steps."""
    if mask.shape == size:
        return mask
    field = Image.fromarray(mask.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    return mask_shapes.highest(np.asarray(field), float(mask.mean()))
