"""A picture softly mixed with its reconstruction by a learned network."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import field_validator

from vestige.data.manipulations.base import (
    Amount,
    Inpaint,
    Manipulated,
    Manipulation,
    Mask,
    Pixels,
    Source,
    compose,
    draw_network,
    within,
)
from vestige.data.mask_shapes import smooth_noise, squared_distance
from vestige.data.masks import MaskOptions, draw_region


class Mixing(Manipulation):
    """Amounts that rise from 0 at the edge of a region to 1 inside it, over wide and uneven ramps.

    Attributes:
        networks: names of those that may be drawn, each with the same probability; empty: all there are.
        soft: share of the region where the amount lies between 0 and 1, drawn uniformly.
    """

    needs_networks: ClassVar[bool] = True

    kind: Literal["mixing"] = "mixing"
    mask: MaskOptions = MaskOptions(area=(0.1, 0.8))
    networks: tuple[str, ...] = ()
    soft: tuple[float, float] = (0.4, 0.9)

    @field_validator("soft")
    @classmethod
    def _soft(cls, value: tuple[float, float]) -> tuple[float, float]:
        return within(value, 0, 1)

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None,
        networks: Mapping[str, Inpaint],
    ) -> Manipulated:
        """Mix a picture with what a network makes of it; see `Manipulation.apply`. Source NETWORK."""
        name, network = draw_network(self.kind, self.networks, networks, rng)
        region = draw_region(host, self.mask, rng)
        soft = float(rng.uniform(*self.soft))
        amount = _soft_amount(region.mask, soft, rng)
        how = {**region.how(), "network": name, "soft": soft}
        return compose(host, network(host, region.mask), amount, Source.NETWORK, self.kind, how)


def _soft_amount(mask: Mask, soft: float, rng: np.random.Generator) -> Amount:
    """Amounts, float32 [H, W]: 0 outside a mask, below 1 in a share `soft` of it, 1 in the rest.

    They rise with the distance from the edge of the mask, faster here and slower there, as smooth noise says.
    """
    distance = np.sqrt(squared_distance(mask))
    scale = max(3.0, 0.15 * float(np.sqrt(mask.size)))
    height = distance * np.exp(0.5 * smooth_noise((mask.shape[0], mask.shape[1]), scale, rng))
    full = np.quantile(height[mask], min(soft, 0.999))
    return np.asarray(np.clip(height / full, 0, 1), dtype=np.float32)
