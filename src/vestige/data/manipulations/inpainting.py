"""Part of a picture removed and filled: by diffusion, by patches from elsewhere, or by a learned network."""

from collections.abc import Mapping
from typing import ClassVar, Literal

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
    draw_network,
    feathered,
    within,
)
from vestige.data.manipulations.exemplar import fill
from vestige.data.masks import draw_region

ClassicalMethod = Literal["telea", "navier-stokes"]


class ClassicalInpainting(Feathered):
    """Telea's fast marching, or Bertalmio's Navier-Stokes: colours continued from the edge, without texture.

    Attributes:
        methods: one of these is drawn, each with the same probability.
        radius: of the neighbourhood that a pixel is computed from, in pixels, drawn uniformly.
    """

    kind: Literal["inpainting-classical"] = "inpainting-classical"
    methods: tuple[ClassicalMethod, ...] = Field(("telea", "navier-stokes"), min_length=1)
    radius: tuple[float, float] = (2.0, 6.0)

    @field_validator("radius")
    @classmethod
    def _radius(cls, value: tuple[float, float]) -> tuple[float, float]:
        return within(value, 1, 32)

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None = None,
        networks: Mapping[str, Inpaint] | None = None,
    ) -> Manipulated:
        """Fill a region from its edge; see `Manipulation.apply`. Source COMPUTED."""
        import cv2

        region = draw_region(host, self.mask, rng)
        method = self.methods[rng.integers(len(self.methods))]
        radius, feather = float(rng.uniform(*self.radius)), float(rng.uniform(*self.feather))
        flag = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
        new = cv2.inpaint(_emptied(host, region.mask), region.mask.astype(np.uint8), radius, flag)
        how = {**region.how(), "method": method, "radius": radius, "feather": feather}
        return compose(
            host, new.astype(np.uint8), feathered(region.mask, feather), Source.COMPUTED, self.kind, how
        )


class PatchInpainting(Feathered):
    """Filled with patches from elsewhere in the picture (after Criminisi, Perez and Toyama, 2004).

    Attributes:
        patch: side of a patch in pixels, odd; larger ones are taken where picture or region is large, so
            that the work stays bounded.
        reach: how far from the edge a patch is looked for, in sides of a patch.
    """

    kind: Literal["inpainting-patch"] = "inpainting-patch"
    patch: int = Field(9, ge=3, le=63)
    reach: float = Field(5.0, ge=1, le=20)

    @field_validator("patch")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"must be odd, got {value}")
        return value

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None = None,
        networks: Mapping[str, Inpaint] | None = None,
    ) -> Manipulated:
        """Fill a region with patches of the same picture; see `Manipulation.apply`. Source COMPUTED."""
        region = draw_region(host, self.mask, rng)
        feather = float(rng.uniform(*self.feather))
        new, side = fill(host, region.mask, self.patch, self.reach)
        how = {**region.how(), "patch": side, "feather": feather}
        return compose(host, new, feathered(region.mask, feather), Source.COMPUTED, self.kind, how)


class LearnedInpainting(Feathered):
    """Filled by a learned network.

    Attributes:
        networks: names of those that may be drawn, each with the same probability; empty: all there are.
    """

    needs_networks: ClassVar[bool] = True

    kind: Literal["inpainting-learned"] = "inpainting-learned"
    networks: tuple[str, ...] = ()

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None,
        networks: Mapping[str, Inpaint],
    ) -> Manipulated:
        """Put what a network makes into a region; see `Manipulation.apply`. Source NETWORK."""
        name, network = draw_network(self.kind, self.networks, networks, rng)
        region = draw_region(host, self.mask, rng)
        feather = float(rng.uniform(*self.feather))
        how = {**region.how(), "network": name, "feather": feather}
        return compose(
            host, network(host, region.mask), feathered(region.mask, feather), Source.NETWORK, self.kind, how
        )


def _emptied(host: Pixels, mask: Mask) -> Pixels:
    """The picture with the mean colour around the mask inside it.

    Where a mask meets the border, OpenCV's methods look at some of the pixels that they are to fill.
    """
    import cv2

    around = (cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0) & ~mask
    emptied = host.copy()
    emptied[mask] = np.rint(host[around].mean(axis=0)).astype(np.uint8)
    return np.asarray(emptied)
