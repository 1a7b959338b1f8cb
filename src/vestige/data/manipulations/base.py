"""What a manipulation is, and what is known of every pixel after it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, field_validator

from vestige.data.mask_shapes import squared_distance
from vestige.data.masks import MaskOptions
from vestige.errors import ConfigError

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Amount = npt.NDArray[np.float32]

# (picture uint8 [H, W, 3], mask bool [H, W]) -> what a learned network puts in the mask's place, a whole
# picture uint8 [H, W, 3] of which only the pixels of the mask are used.
Inpaint = Callable[[Pixels, Mask], Pixels]


class Source(IntEnum):
    """Where the new content of a pixel comes from."""

    KEPT = 0  # the picture's own pixel, untouched
    PERTURBED = 1  # the picture's own, processed so that its meaning stays
    MOVED = 2  # the picture's own, from another place
    OTHER = 3  # another picture's
    COMPUTED = 4  # computed from the pixels around it, without a learned network
    NETWORK = 5  # made by a learned network


@dataclass(frozen=True)
class Manipulated:
    """A manipulated picture and what is known of each of its pixels.

    Attributes:
        pixels: uint8 [H, W, 3].
        amount: float32 [H, W] in [0, 1], whole multiples of 1/255: share of new content in each pixel.
        source: uint8 [H, W], codes of `Source`: where the new content comes from; KEPT exactly where there is
            none.
        kind: the manipulation's kind.
        how: what was drawn, as JSON values.
    """

    pixels: Pixels
    amount: Amount
    source: npt.NDArray[np.uint8]
    kind: str
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def mask(self) -> Mask:
        """Where there is new content, bool [H, W]."""
        return self.amount > 0

    def changed(self) -> Amount:
        """Share of each pixel that is new and not merely perturbed, float32 [H, W]."""
        return np.where(self.source == Source.PERTURBED, np.float32(0), self.amount).astype(np.float32)

    def generated(self, host: int, donor: int | None) -> Amount:
        """Share of each pixel that is generated, float32 [H, W].

        Args:
            host: label of the picture that was manipulated, 0 real or 1 generated.
            donor: label of the other picture; None: there was none.

        Raises:
            ConfigError: there is content of another picture, whose label is not given.
        """
        labels = np.full(len(Source), host, dtype=np.float32)
        labels[Source.NETWORK] = 1
        if donor is not None:
            labels[Source.OTHER] = donor
        elif (self.source == Source.OTHER).any():
            raise ConfigError(
                f"{self.kind} took pixels from another picture, so the label of that picture is needed"
            )
        share = (1 - self.amount) * np.float32(host) + self.amount * labels[self.source]
        return np.asarray(share, dtype=np.float32)


class Manipulation(BaseModel):
    """Options of one kind of manipulation; `apply` does it.

    Attributes:
        needs_donor: whether `apply` needs a second picture.
        needs_networks: whether `apply` needs learned networks.
        mask: where.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    needs_donor: ClassVar[bool] = False
    needs_networks: ClassVar[bool] = False

    kind: str
    mask: MaskOptions = MaskOptions()

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None,
        networks: Mapping[str, Inpaint],
    ) -> Manipulated:
        """Manipulate a picture; everything outside the mask stays as it is, bit by bit.

        Args:
            host: uint8 [H, W, 3], sides of at least 32.
            rng: what is drawn is drawn from it.
            donor: another picture, uint8 [H', W', 3] of any size; not looked at unless `needs_donor`.
            networks: learned networks by name; not looked at unless `needs_networks`.

        Raises:
            ConfigError: the donor or a network is missing.
            DataError: the picture is too small.
        """
        raise NotImplementedError


class Feathered(Manipulation):
    """A manipulation whose new content begins softly at the edge of the mask.

    Attributes:
        feather: width in pixels, drawn uniformly from this range, of the ramp from the picture's own content
            at the edge of the mask to the new content; it lies inside the mask.
    """

    feather: tuple[float, float] = (0.0, 4.0)

    @field_validator("feather")
    @classmethod
    def _feather(cls, value: tuple[float, float]) -> tuple[float, float]:
        return within(value, 0, 64)


def compose(
    host: Pixels, new: Pixels, amount: Amount, source: Source, kind: str, how: dict[str, Any]
) -> Manipulated:
    """rint(host + amount * (new - host)), with the amount in whole multiples of 1/255.

    So many levels has the PNG in which amounts are kept: what is read back is exactly what was done.
    """
    if new.shape != host.shape or new.dtype != np.uint8:
        raise ConfigError(
            f"{kind}: the new content is {new.dtype} {list(new.shape)}, it must be uint8 {list(host.shape)}"
        )
    amount = (np.rint(amount * np.float32(255)) / np.float32(255)).astype(np.float32)
    inside = amount > 0
    pixels, own = host.copy(), host[inside].astype(np.float32)
    pixels[inside] = np.rint(own + amount[inside][:, None] * (new[inside] - own)).astype(np.uint8)
    return Manipulated(pixels, amount, np.where(inside, source, Source.KEPT).astype(np.uint8), kind, how)


def feathered(mask: Mask, width: float) -> Amount:
    """Amounts that rise from the edge of a mask inwards, float32 [H, W]: 0 outside, 1 from `width` pixels on.

    The ramp is shorter where the whole mask is thinner than that, so that some pixel always reaches 1.
    """
    distance = np.sqrt(squared_distance(mask))
    ramp = min(width, float(distance.max()) - 1) + 1
    return np.asarray(np.clip(distance / ramp, 0, 1), dtype=np.float32)


def draw_network(
    kind: str, names: tuple[str, ...], networks: Mapping[str, Inpaint], rng: np.random.Generator
) -> tuple[str, Inpaint]:
    """One of the networks named, or of all if none is named.

    Raises:
        ConfigError: there is none, or one that is named is missing.
    """
    there = ", ".join(sorted(networks)) or "none"
    missing = [name for name in names if name not in networks]
    if missing:
        raise ConfigError(
            f"{kind} names the networks {', '.join(missing)}, which are missing; there are: {there}"
        )
    if not networks:
        raise ConfigError(f"{kind} needs at least one learned network, and there is none")
    choice = names or tuple(sorted(networks))
    name = choice[rng.integers(len(choice))]
    return name, networks[name]


def needed_donor(kind: str, donor: Pixels | None) -> Pixels:
    """The donor.

    Raises:
        ConfigError: there is none.
    """
    if donor is None:
        raise ConfigError(f"{kind} needs a second picture to take content from, and there is none")
    return donor


def within(value: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    """The range, if it is one.

    Raises:
        ValueError: it is not, or leaves `least` to `most`.
    """
    low, high = value
    if not least <= low <= high <= most:
        raise ValueError(f"must be a range within {least:g} to {most:g}, got {low:g} to {high:g}")
    return value
