"""The sections of a recipe that say what its package holds and what the card says."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CardSection(_Section):
    """What the card of a package says, whatever it holds."""

    name: str
    version: str
    summary: str
    licence: str = "Apache-2.0"
    failure_modes: list[str] = Field(min_length=1)


class PartSection(_Section):
    """When a picture counts as generated in part, for networks with a map; shares are of the cells looked at.

    Attributes:
        minimum_share, maximum_share: a smaller part is nothing to speak of, a larger one is the whole.
        fpr: share of untouched real pictures that may have a part of the smallest size.
        whole_called_part: share of wholly generated pictures that may be called partly generated.
    """

    minimum_share: float = Field(0.04, gt=0, lt=1)
    maximum_share: float = Field(0.75, gt=0, le=1)
    fpr: float = Field(0.01, gt=0, lt=1)
    whole_called_part: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> "PartSection":
        if self.minimum_share >= self.maximum_share:
            raise ValueError(
                f"minimum_share ({self.minimum_share}) must lie below maximum_share ({self.maximum_share})"
            )
        return self


class QuantisationSection(_Section):
    """Large matrices of the package's graph are multiplied in 8 bits, which is about twice as fast.

    Attributes:
        pictures: training pictures whose centre patches show which ranges the activations take.
        smoothing: how much of the activations' spread over their channels moves into the weights (alpha of
            SmoothQuant, Xiao et al., ICML 2023); 0: none.
        outliers: activations that cannot be smoothed stay in float32 where the largest channel goes beyond
            so many times the 99th percentile of the channels.
        levels: weights lie from -levels to levels. 127 is the more exact, but x86 processors without VNNI
            saturate with it; with 63 none does.
    """

    pictures: int = Field(64, ge=2)
    smoothing: float = Field(0.7, ge=0, le=1)
    outliers: float = Field(4.0, gt=0)
    levels: Literal[63, 127] = 63


class PackageSection(CardSection):
    """What the card says and how many views the field kit takes.

    Attributes:
        deviation_quantile: for networks that give a deviation: beyond this quantile of both classes' held-out
            deviations a picture is always inconclusive (`calibration.deviation_limit`); None: no limit.
        quantisation: what is multiplied in 8 bits; None: all stays in float32.
        part: for networks with a map: when the verdict is "partly generated"; None: never.
    """

    views: int = Field(4, ge=1)
    minimum_side: int = Field(96, ge=1)
    deviation_quantile: float | None = Field(0.99, gt=0, lt=1)
    part: PartSection | None = PartSection()
    quantisation: QuantisationSection | None = None
