"""The numbers of `vestige inspect`: everything that was measured about one picture, as one object.

Terminal, JSON and page read this report. Only `report` holds a verdict; everything else is a measurement.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vestige.reports.signature import SpectralPeak
from vestige.results import Facts, ImageReport


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Patch(_Model):
    """A view that decided, in pixels of the upright picture, with its score.

    Attributes:
        logit: positive leans to generated.
        probability: calibrated, in [0, 1], as if the picture were this patch alone.
    """

    x: int
    y: int
    width: int
    height: int
    logit: float
    probability: float


class Window(_Model):
    """The part of the picture at native resolution that signature, residual, spectra and ELA are of.

    Attributes:
        whole: whether it is all of the picture.
    """

    x: int
    y: int
    width: int
    height: int
    whole: bool


class SpectrumFigures(_Model):
    """A power spectrum, as in `vestige.images.spectrum`.

    Attributes:
        blocks: of 256 pixels, averaged.
        chance: dB above the median that noise alone reaches in one of a hundred pictures at most.
        peaks: strongest first.
        rings: (cycles per pixel, dB) from coarse to fine, averaged over all directions; 0 dB is noise of one
            grey level.
    """

    blocks: int
    chance: float
    peaks: list[SpectralPeak]
    rings: list[tuple[float, float]]


class SignatureFigures(_Model):
    """What an extractor found; attributes as in `vestige.reports.signature.SignatureReport`."""

    model: str
    target: Literal["residual", "noise", "imprint"]
    limits: list[str]
    grey_levels: float
    clipped: float
    tiles: int
    spectrum: SpectrumFigures


class ResidualFigures(_Model):
    """The SRM residual of the brightness; numbers as in `vestige.images.residual.Statistics`.

    Attributes:
        clipped: share of the drawn residual that is stronger than can be shown.
    """

    rms: float
    mean_absolute: float
    quantile_99: float
    kurtosis: float
    silent: float
    clipped: float
    spectrum: SpectrumFigures


class PictureFigures(_Model):
    """The spectrum of the picture's own brightness.

    Attributes:
        exponent: a of the power law f^-a that fits its rings from 1/32 to 1/4 cycle per pixel best; None of
            a picture that is the same all over.
    """

    spectrum: SpectrumFigures
    exponent: float | None


class GridAxis(_Model):
    """The block grid along one axis, as in `vestige.images.block_grid.Axis`.

    Attributes:
        strengths: per phase, in grey levels; None where the picture is too small to have that phase.
        contrast: strength of the phase over the mean of the others.
        found: whether the votes agree more than they would by chance in one of a hundred pictures.
    """

    strengths: list[float | None]
    votes: list[int]
    strips: int
    phase: int
    log10_chance: float
    contrast: float
    found: bool


class GridFigures(_Model):
    """The block grid across (left to right) and down (top to bottom), of the whole picture."""

    across: GridAxis
    down: GridAxis


class ElaFigures(_Model):
    """Error level analysis; numbers as in `vestige.images.ela.Levels`.

    Attributes:
        quality: of the recompression.
        gain: the differences are drawn so many times as strong.
        clipped: share of them that is stronger than can be shown.
    """

    quality: int
    mean: float
    quantile_99: float
    largest: int
    gain: int
    clipped: float


class MetadataNode(_Model):
    """One entry of the tree of metadata; see `vestige.provenance.tree_node.Node`."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    name: str
    value: str = ""
    children: list["MetadataNode"] = Field(default_factory=list)


class InspectionReport(_Model):
    """Everything that was measured about one picture; its JSON is what `vestige inspect --json` prints.

    Attributes:
        report: verdict, evidence, claims and facts, as of `vestige scan`; `report.versions` says by what.
        patches: the views that decided, with calibrated scores.
        signature: None without an extractor.
        hashes: of the file, and of the decoded pixels (uint8 [H, W, 3], row by row), in hexadecimal.
        metadata: one node per block of the file.
        folder: where the page is.
    """

    schema_version: Literal[1] = 1
    report: ImageReport
    patches: list[Patch]
    window: Window
    signature: SignatureFigures | None
    residual: ResidualFigures
    picture: PictureFigures
    grid: GridFigures
    ela: ElaFigures
    hashes: dict[str, str]
    metadata: list[MetadataNode]
    folder: str

    @property
    def facts(self) -> Facts:
        """Facts of the file; a picture that was inspected always has them."""
        assert self.report.facts is not None
        return self.report.facts
