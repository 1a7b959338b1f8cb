"""Tables of a simulator's imprints, from what `vestige spectra` wrote of a NIRNet run."""

from pathlib import Path
from typing import Any

from vestige.errors import DataError
from vestige.evaluation.imprint_record import Generator, Report
from vestige.evaluation.table import Table

FAMILIES = ("laplace", "gaussian", "generalised")
SCOPES = ("pooled", "within picture")
FITS_NOTE = (
    "Distance: Kolmogorov-Smirnov distance between differences and the fitted distribution (Laplace / "
    "Gaussian / generalised Gaussian), mean over bands and channels, on pictures of sources that were not "
    "fitted. Shape: of the generalised Gaussian, 1 for Laplace, 2 for Gaussian. Within: the same after each "
    "picture's coefficients were divided by their own scale in that band."
)
PLACES_NOTE = (
    "Pictures are points: the log of the mean absolute coefficient of each band and channel. Sampled and "
    "fused imprints are drawn at full strength and are not rounded to whole grey levels. Distances in units "
    "of the spread of the generator's differences. Recognised: share of the points that lie nearest to the "
    "centroid of their generator's differences. Nearest: from the centroid of the differences to the nearest "
    "imprint of another generator's fit, of the fused distribution of all, of the fused one of the others."
)


def read_report(path: Path) -> Report:
    """What `vestige spectra` wrote as `imprints.json`.

    Raises:
        DataError: it cannot be read as that.
    """
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as figures of imprints ({error})") from error


def imprint_markdown(report: Report) -> str:
    """Both tables and what was concluded, as a block of a page."""
    said = "\n".join(f"- {sentence}" for sentence in report.conclusion)
    return f"{fits_table(report).markdown()}\n\n{places_table(report).markdown()}\n\n{said}"


def fits_table(report: Report) -> Table:
    """How well each family describes each generator's differences."""
    found: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    for row in report.fits:
        found.setdefault(row["generator"], {})[row["scope"], row["family"]] = row
    columns = [
        "Generator",
        "Pictures",
        "Excess kurtosis",
        "Distance",
        "Shape",
        "Distance within",
        "Shape within",
    ]
    rows = [[name, *_fit_cells(fits)] for name, fits in found.items()]
    return Table("Are differences Laplace?", columns, rows, FITS_NOTE)


def places_table(report: Report) -> Table:
    """Where differences, sampled imprints and fused ones lie."""
    columns = [
        "Generator",
        "Sampled: distance",
        "Sampled: scatter",
        "Recognised",
        "Sampled: recognised",
        "Nearest of others",
        "Nearest fused",
        "Nearest fused of others",
    ]
    note = f"{report.pictures} real pictures of {len(report.sources)} sources. {PLACES_NOTE}"
    return Table("Where imprints lie", columns, [_place_cells(one) for one in report.generators], note)


def _fit_cells(fits: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    first = fits[SCOPES[0], FAMILIES[0]]
    cells = [str(first["pictures"]), f"{first['kurtosis']:.1f}"]
    for scope in SCOPES:
        cells.append(" / ".join(f"{fits[scope, family]['ks']:.3f}" for family in FAMILIES))
        cells.append(f"{fits[scope, FAMILIES[2]]['shape']:.2f}")
    return cells


def _place_cells(one: Generator) -> list[str]:
    nearest = (one.nearest_others, one.nearest_fused, one.nearest_others_fused)
    return [
        one.name,
        f"{one.distance:.2f}",
        f"{one.scatter:.2f}",
        f"{one.recognised:.0%}",
        f"{one.sampled_recognised:.0%}",
        *("-" if value is None else f"{value:.2f}" for value in nearest),
    ]
