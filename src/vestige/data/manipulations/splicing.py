"""A part of another picture put into a picture."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from vestige.data.manipulations.base import (
    Feathered,
    Inpaint,
    Manipulated,
    Mask,
    Pixels,
    Source,
    compose,
    feathered,
    needed_donor,
)
from vestige.data.manipulations.seamless import seamless
from vestige.data.masks import draw_region

Blending = Literal["paste", "colour", "poisson"]


class Splicing(Feathered):
    """A region covered by a part of another picture.

    Attributes:
        blendings: one of these is drawn, each with the same probability. "paste": as it is; "colour": mean
            and deviation of its colours matched to those around the region; "poisson": seamlessly, its
            gradients continued from the colours at the edge (Perez, Gangnet and Blake, 2003).
    """

    needs_donor: ClassVar[bool] = True

    kind: Literal["splicing"] = "splicing"
    blendings: tuple[Blending, ...] = Field(("paste", "colour", "poisson"), min_length=1)

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None,
        networks: Mapping[str, Inpaint] | None = None,
    ) -> Manipulated:
        """Cover a region with a part of the donor; see `Manipulation.apply`. Source OTHER.

        `how` has "scale", by which the donor was enlarged because it was smaller than the region, and
        "corner", [y, x] in the enlarged donor, of the part that covers the box around the region, which is
        one pixel wider on each side within the host.
        """
        donor = needed_donor(self.kind, donor)
        region = draw_region(host, self.mask, rng)
        blending = self.blendings[rng.integers(len(self.blendings))]
        feather = float(rng.uniform(*self.feather))
        new, scale, corner = _placed(host, region.mask, donor, rng)
        if blending == "colour":
            new = _matched(host, new, region.mask)
        elif blending == "poisson":
            new = seamless(host, new, region.mask)
        how = {**region.how(), "blending": blending, "feather": feather, "scale": scale, "corner": corner}
        return compose(host, new, feathered(region.mask, feather), Source.OTHER, self.kind, how)


def _placed(
    host: Pixels, mask: Mask, donor: Pixels, rng: np.random.Generator
) -> tuple[Pixels, float, list[int]]:
    """The host with the box around the mask covered by a random part of the donor; scale; corner in it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # One pixel more on each side, where the host has it: seamless cloning needs gradients across the edge.
    top, bottom = max(0, rows[0] - 1), min(mask.shape[0], rows[-1] + 2)
    left, right = max(0, columns[0] - 1), min(mask.shape[1], columns[-1] + 2)
    height, width = int(bottom - top), int(right - left)
    scale = max(1.0, height / donor.shape[0], width / donor.shape[1])
    if scale > 1:
        size = (max(width, round(donor.shape[1] * scale)), max(height, round(donor.shape[0] * scale)))
        donor = np.asarray(Image.fromarray(donor).resize(size, Image.Resampling.BICUBIC))
    y = int(rng.integers(donor.shape[0] - height + 1))
    x = int(rng.integers(donor.shape[1] - width + 1))
    new = host.copy()
    new[top:bottom, left:right] = donor[y : y + height, x : x + width]
    return new, float(scale), [y, x]


def _matched(host: Pixels, new: Pixels, mask: Mask) -> Pixels:
    """New content with mean and deviation of each colour as in the host around the mask.

    The deviation is at most doubled and at most halved: more would make noise of what is flat.
    """
    import cv2

    width = max(4, round(0.1 * float(np.sqrt(mask.size))))
    box = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    wide = np.asarray(cv2.dilate(mask.astype(np.uint8), box))
    around = host[(wide > 0) & ~mask].astype(np.float32)
    inside = new[mask].astype(np.float32)
    ratio = np.clip(around.std(axis=0) / np.maximum(inside.std(axis=0), 1), 0.5, 2)
    values = (inside - inside.mean(axis=0)) * ratio + around.mean(axis=0)
    matched = new.copy()
    matched[mask] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.asarray(matched)
