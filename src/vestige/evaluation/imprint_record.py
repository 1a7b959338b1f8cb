"""What is recorded of a simulator's imprints: where they lie, their spectra, and the figures in words."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Peaks(_Part):
    """How far multiples of 1/8 cycle per pixel stand out of a spectrum, in dB.

    Attributes:
        mean: over all of them.
        strongest: at the place where the differences have their strongest.
    """

    mean: float
    strongest: float


class Curves(_Part):
    """Spectra of a generator's imprints along the distance from frequency 0, and their peaks.

    Attributes:
        x, y: cycles per pixel, of the strongest peak of the differences.
        differences, sampled, white: dB at `Report.frequencies`; 0 dB is noise of one grey level.
        peaks_differences, peaks_sampled, peaks_white: of the whole spectra.
    """

    x: float
    y: float
    differences: list[float]
    sampled: list[float]
    white: list[float]
    peaks_differences: Peaks
    peaks_sampled: Peaks
    peaks_white: Peaks


class Generator(_Part):
    """Where the imprints of one generator lie.

    Distances are root mean squares over bands and channels, in dB; most are given in spreads of the
    generator's differences, which is how far apart pictures alone make them.

    Attributes:
        name: of the generator.
        differences, sampled: the first two coordinates, a pair for each picture.
        spread: root mean square distance of differences from their centroid, in dB.
        scatter: the same of sampled imprints, in spreads.
        distance: between the centroids of differences and of sampled imprints, in spreads.
        recognised: share of the differences that lie nearest to the centroid of their generator's other
            differences.
        sampled_recognised: share of the sampled imprints that lie nearest to the centroid of their
            generator's differences.
        nearest_fused: from the centroid of differences to the nearest imprint of the fused distribution, in
            spreads.
        nearest_others: the same to the nearest imprint of another generator's fit; None without two others.
        nearest_others_fused: the same to the nearest of the others' fused distribution; None without two
            others.
        curves: of the spectra.
    """

    name: str
    differences: list[list[float]]
    sampled: list[list[float]]
    spread: float
    scatter: float
    distance: float
    recognised: float
    sampled_recognised: float
    nearest_fused: float
    nearest_others: float | None
    nearest_others_fused: float | None
    curves: Curves


class Report(_Part):
    """All that `vestige spectra` found of a simulator of imprints.

    Attributes:
        settings: what decides the figures besides the code.
        pictures: real pictures that were reconstructed.
        sources: of them, and how many pictures of each.
        too_small: pictures smaller than the crop, by source; they are not used.
        explained: share of the variance of the differences that each of the first components has.
        frequencies: cycles per pixel, of the curves.
        generators: in the simulator's order.
        fused: the first two coordinates of imprints of the fused distribution.
        fits: how well the simulator says its distributions fit, as it was fitted.
        conclusion: in sentences.
    """

    format: Literal[1] = 1
    settings: dict[str, Any]
    pictures: int
    sources: dict[str, int]
    too_small: dict[str, int]
    explained: list[float]
    frequencies: list[float]
    generators: list[Generator]
    fused: list[list[float]]
    fits: list[dict[str, Any]]
    conclusion: list[str]
