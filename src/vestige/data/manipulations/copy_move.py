"""A part of a picture copied to another place of the same picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from vestige.data.manipulations.base import (
    Feathered,
    Inpaint,
    Manipulated,
    Mask,
    Pixels,
    Source,
    compose,
    feathered,
    within,
)
from vestige.data.mask_shapes import largest_piece
from vestige.data.masks import MaskOptions, Region, draw_region

# The copy is at least this far from what it shows, in pixels; a third of the shorter side in small pictures.
DISTANCE = 16
# Where a region is found whose copy overlaps what it shows by less than this share, no other is looked for.
LITTLE_OVERLAP = 0.1
TRIES = 12
PLACES = 24


class CopyMove(Feathered):
    """One connected region covered by a copy of another of the same shape.

    Attributes:
        flip, turn, resize: probabilities that the copy is mirrored, turned, or enlarged or reduced.
        degrees: by how much it is turned at most, to either side; clockwise is positive in `how`.
        scale: by how much it is enlarged, drawn log-uniformly.
    """

    kind: Literal["copy-move"] = "copy-move"
    mask: MaskOptions = MaskOptions(area=(0.03, 0.2))
    flip: float = Field(0.25, ge=0, le=1)
    turn: float = Field(0.25, ge=0, le=1)
    degrees: float = Field(15.0, ge=0, le=180)
    resize: float = Field(0.25, ge=0, le=1)
    scale: tuple[float, float] = (0.8, 1.25)

    @field_validator("scale")
    @classmethod
    def _scale(cls, value: tuple[float, float]) -> tuple[float, float]:
        return within(value, 0.25, 4)

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None = None,
        networks: Mapping[str, Inpaint] | None = None,
    ) -> Manipulated:
        """Copy a part to another place; see `Manipulation.apply`. Source MOVED.

        `how` has "offset" [dy, dx]: the middle of the copy, at (y, x), shows what was at (y + dy, x + dx).
        """
        region, move = _draw_move(host, self.mask, rng)
        flip = bool(rng.random() < self.flip)
        degrees = float(rng.uniform(-self.degrees, self.degrees)) if rng.random() < self.turn else 0.0
        low, high = np.log(self.scale)
        scale = float(np.exp(rng.uniform(low, high))) if rng.random() < self.resize else 1.0
        feather = float(rng.uniform(*self.feather))
        how: dict[str, Any] = {
            **region.how(),
            "offset": list(move.offset),
            "overlap": move.overlap,
            "flip": flip,
            "degrees": degrees,
            "scale": scale,
            "feather": feather,
        }
        new = _moved(host, move, flip, degrees, scale)
        return compose(host, new, feathered(move.mask, feather), Source.MOVED, self.kind, how)


@dataclass(frozen=True)
class _Move:
    """Where a copy goes and what it shows: `mask` at the target, the source at `mask` + `offset` (dy, dx)."""

    mask: Mask
    offset: tuple[int, int]
    overlap: float


def _draw_move(host: Pixels, options: MaskOptions, rng: np.random.Generator) -> tuple[Region, _Move]:
    """A region and an offset to a place inside the picture that overlaps it little.

    A region that has no such place is drawn again, smaller each time; of all that was drawn, the one that
    overlaps least is taken.
    """
    best: tuple[Region, _Move] | None = None
    low, high = options.area
    for number in range(TRIES):
        shrink = 0.8**number
        smaller = options.model_copy(update={"area": (low * shrink, high * shrink)})
        region = draw_region(host, smaller, rng)
        move = _draw_place(largest_piece(region.mask), rng)
        if move is not None and (best is None or move.overlap < best[1].overlap):
            best = region, move
        if best is not None and best[1].overlap <= LITTLE_OVERLAP:
            return best
    if best is not None:
        return best
    # Whatever was drawn reaches from edge to edge: what lies in one half of the picture always has a place.
    region = draw_region(host, options, rng)
    return region, _half_move(region.mask)


def _draw_place(mask: Mask, rng: np.random.Generator) -> _Move | None:
    """The offset, of some drawn, by which a mask overlaps itself least; None: it has no room to move."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    least = min(DISTANCE, min(height, width) // 3)
    best: _Move | None = None
    for _ in range(PLACES):
        dy = int(rng.integers(-rows[0], height - rows[-1]))
        dx = int(rng.integers(-columns[0], width - columns[-1]))
        if max(abs(dy), abs(dx)) < least:
            continue
        before = mask[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
        after = mask[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
        overlap = float((before & after).sum() / mask.sum())
        if best is None or overlap < best.overlap:
            best = _Move(mask, (dy, dx), overlap)
    return best


def _half_move(mask: Mask) -> _Move:
    """The part of a mask in the half of the picture that has more of it, covered from the other half."""
    along = int(mask.shape[1] >= mask.shape[0])
    half = mask.shape[along] // 2
    upright = mask if along == 0 else mask.T
    first = upright[:half].sum() >= upright[-half:].sum()
    part = np.zeros_like(upright)
    kept = slice(0, half) if first else slice(len(upright) - half, None)
    part[kept] = upright[kept]
    shift = len(upright) - half if first else half - len(upright)
    return _Move(part if along == 0 else part.T, (shift, 0) if along == 0 else (0, shift), 0.0)


def _moved(host: Pixels, move: _Move, flip: bool, degrees: float, scale: float) -> Pixels:
    """The picture moved by the offset, mirrored, turned and enlarged around the middle of the mask.

    Only the pixels of the mask are meant to be used. Where the turned source leaves the picture, the picture
    is reflected.
    """
    import cv2

    height, width = move.mask.shape
    dy, dx = move.offset
    if not flip and degrees == 0 and scale == 1:
        rows = np.clip(np.arange(height) + dy, 0, height - 1)
        columns = np.clip(np.arange(width) + dx, 0, width - 1)
        return np.asarray(host[rows[:, None], columns[None]])
    y, x = (
        (lines[0] + lines[-1]) / 2
        for lines in map(np.flatnonzero, (move.mask.any(axis=1), move.mask.any(axis=0)))
    )
    sine, cosine = np.sin(np.radians(degrees)) / scale, np.cos(np.radians(degrees)) / scale
    turn = np.array([[cosine, sine], [-sine, cosine]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
    # From a pixel of the copy (x, y) to what it shows.
    shift = np.array([x + dx, y + dy]) - turn @ np.array([x, y])
    matrix = np.column_stack([turn, shift])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    copied: Pixels = cv2.warpAffine(
        host, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )
    return copied
