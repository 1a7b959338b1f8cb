"""Imprints of generators, and imprints sampled from fits to them: do they lie in the same places?

After NIRNet's Fig. 4. An imprint becomes a vector: how strong each frequency band of each channel is in it,
in dB. All differences are of the same pictures, so what lies apart differs by generator and not by what is
shown. Components are fitted to the differences alone, that is to what generators really leave; sampled
imprints are projected on them.

Two things to know: bands are strengths without phase, so an imprint may lie in the right place and still lack
a generator's regular patterns; those are in the spectra. And a simulator knows nothing of what a picture
shows, so its imprints scatter less than differences do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from vestige.evaluation.imprint_record import Curves, Generator, Peaks, Report
from vestige.evaluation.imprint_spectra import Decibel, GridPeak, grid_peaks, ring_curve
from vestige.methods.nirnet.bands import each_band

Rows = npt.NDArray[np.float64]  # [N, D]

MOST = 10  # components
FEWEST = 10  # pictures that say anything
BLOCK = 8  # pixels along a side of what is transformed
FLOOR = 0.01  # grey levels: a blank difference must not lie as far away as a logarithm can go
FAINT = 1.0  # dB; peaks below are hardly any
DIGITS = 4


@dataclass(frozen=True)
class Imprints:
    """Imprints of one generator as vectors in dB, [N, D] each, a row for each picture.

    Attributes:
        differences: reconstruction minus picture.
        sampled: from the fit to the generator.
        without: from the fused fits of all other generators; None where these are fewer than two.
    """

    differences: Rows
    sampled: Rows
    without: Rows | None


@dataclass(frozen=True)
class Spectra:
    """Mean power spectra of one generator's imprints, as `imprint_spectra.mean_decibel` gives them.

    Attributes:
        differences: reconstruction minus picture.
        sampled: from the fit to the generator, per band.
        white: from a fit per pixel, which knows no frequencies.
    """

    differences: Decibel
    sampled: Decibel
    white: Decibel


def vectors(imprints: npt.NDArray[np.floating[Any]]) -> Rows:
    """How strong each band is in each imprint.

    Args:
        imprints: [N, H, W, 3] in grey levels, sides multiples of 8.

    Returns:
        float64 [N, 192]: mean absolute coefficients of an orthonormal 8 x 8 block DCT in dB, for each band
        and each of grey, red-blue and green-magenta.
    """
    strengths = [np.abs(found).mean(1) for _, found in each_band(imprints, BLOCK, "opponent")]
    return 20 * np.log10(np.stack(strengths, 1, dtype=np.float64) + FLOOR)


def measure(
    imprints: Mapping[str, Imprints],
    fused: Rows,
    spectra: Mapping[str, Spectra],
    settings: dict[str, Any],
    sources: dict[str, int],
    too_small: dict[str, int],
    fits: Sequence[dict[str, Any]],
) -> Report:
    """Measure where imprints lie.

    Args:
        imprints: of each generator by its name, all of the same pictures, from `FEWEST` on.
        fused: vectors of imprints of the fused distribution, [N, D].
        spectra: of each generator by its name.
        settings, sources, too_small, fits: for the report.

    Raises:
        ValueError: no generator, or numbers of rows that differ or are too small.
    """
    counts = {len(fused), *(len(rows) for one in imprints.values() for rows in _all(one))}
    if len(counts) != 1 or min(counts) < FEWEST or not imprints:
        raise ValueError(
            f"each generator needs imprints of the same pictures, from {FEWEST} on, got {sorted(counts)}"
        )
    differences = np.concatenate([one.differences for one in imprints.values()]) * _scale(fused)
    pca = PCA(min(*differences.shape, MOST), svd_solver="full").fit(differences)

    def plane(rows: Rows) -> list[list[float]]:
        return [_rounded(row) for row in pca.transform(rows * _scale(fused))[:, :2]]

    frequencies, _ = ring_curve(next(iter(spectra.values())).differences)
    report = Report(
        settings=settings,
        pictures=len(fused),
        sources=sources,
        too_small=too_small,
        explained=_rounded(pca.explained_variance_ratio_),
        frequencies=[round(float(value), 6) for value in frequencies],
        generators=[
            Generator(
                name=name,
                differences=plane(one.differences),
                sampled=plane(one.sampled),
                **_distances(name, imprints, fused),
                curves=_curves(spectra[name]),
            )
            for name, one in imprints.items()
        ],
        fused=plane(fused),
        fits=list(fits),
        conclusion=[],
    )
    return report.model_copy(update={"conclusion": conclusion(report)})


def conclusion(report: Report) -> list[str]:
    """The figures in words."""
    some = report.generators
    farthest = max(some, key=lambda one: one.distance)
    said = [
        f"{report.pictures} real pictures of {len(report.sources)} sources, {len(some)} generators: the "
        f"first two components hold {sum(report.explained[:2]):.0%} of the variance of their differences; "
        f"{_mean(one.recognised for one in some):.0%} of the differences lie nearest to those of their own "
        f"generator (by chance {1 / len(some):.0%}).",
        f"The centroid of sampled imprints lies {_median(one.distance for one in some):.2f} spreads from "
        f"that of the differences (median; {farthest.distance:.2f} for {farthest.name}); "
        f"{_mean(one.sampled_recognised for one in some):.0%} of the sampled imprints lie nearest to the "
        "differences of their own generator.",
        f"Sampled imprints scatter {_median(one.scatter for one in some):.2f} times as much as differences, "
        "since a simulator knows nothing of what a picture shows; the nearest fused imprint lies "
        f"{_median(one.nearest_fused for one in some):.2f} spreads from the centroid of a generator's "
        "differences (medians).",
    ]
    left_out = [(one.nearest_others_fused, one.nearest_others) for one in some]
    known = [(fused, single) for fused, single in left_out if fused is not None and single is not None]
    if known:
        said.append(
            "Of a generator that is left out, the nearest imprint fused from the others lies "
            f"{_median(fused for fused, _ in known):.2f} spreads away, the nearest of a single other "
            f"{_median(single for _, single in known):.2f} (medians)."
        )
    found = [
        _mean(getattr(one.curves, f"peaks_{kind}").strongest for one in some)
        for kind in ("differences", "sampled", "white")
    ]
    said.append(
        "The multiple of 1/8 cycle per pixel that stands out most in a generator's differences does so by "
        f"{found[0]:.1f} dB there, by {found[1]:.1f} dB in imprints sampled per band and by "
        f"{found[2]:.1f} dB in those of a fit per pixel (means): {_carried(*found)}."
    )
    return said


def _carried(differences: float, sampled: float, white: float) -> str:
    if differences < FAINT:
        return "there are hardly any peaks to be carried"
    share = (sampled - white) / (differences - white) if differences > white else 0.0
    words = ((0.75, "sampled imprints carry the peaks"), (0.25, "sampled imprints carry a part of the peaks"))
    return next((told for least, told in words if share >= least), "sampled imprints do not carry the peaks")


def _distances(name: str, imprints: Mapping[str, Imprints], fused: Rows) -> dict[str, Any]:
    """The figures of one generator that are distances or follow from some."""
    one, scale = imprints[name], _scale(fused)
    centroids = {other: found.differences.mean(0) for other, found in imprints.items()}
    centre, sampled = centroids[name], one.sampled.mean(0)
    spread = max(_spread(one.differences, centre) * scale, 1e-9)
    others = [found.sampled for other, found in imprints.items() if other != name]

    def nearest(rows: Rows) -> float:
        return round(float(np.linalg.norm(rows - centre, axis=1).min()) * scale / spread, DIGITS)

    return {
        "spread": round(spread, DIGITS),
        "scatter": round(_spread(one.sampled, sampled) * scale / spread, DIGITS),
        "distance": round(float(np.linalg.norm(sampled - centre)) * scale / spread, DIGITS),
        "recognised": _nearest_own(one.differences, name, centroids, among=len(one.differences)),
        "sampled_recognised": _nearest_own(one.sampled, name, centroids),
        "nearest_fused": nearest(fused),
        "nearest_others": None if one.without is None else nearest(_dealt(others)),
        "nearest_others_fused": None if one.without is None else nearest(one.without),
    }


def _scale(rows: Rows) -> float:
    """Makes a distance the root mean square over bands and channels."""
    return float(rows.shape[1] ** -0.5)


def _spread(rows: Rows, centre: Rows) -> float:
    return float(np.sqrt(np.square(rows - centre).sum(1).mean()))


def _nearest_own(rows: Rows, name: str, centroids: Mapping[str, Rows], among: int | None = None) -> float:
    """Share of rows whose nearest centroid is `name`'s.

    Args:
        among: so many rows, these, made the own centroid; each is then compared with that of the rest.
    """
    own = np.linalg.norm(rows - centroids[name], axis=1)
    if among is not None:
        own *= among / (among - 1)
    others = [np.linalg.norm(rows - place, axis=1) for other, place in centroids.items() if other != name]
    nearer = own < np.min(others, axis=0) if others else np.ones(len(rows), bool)
    return round(float(nearer.mean()), DIGITS)


def _dealt(clouds: Sequence[Rows]) -> Rows:
    """As many rows as one cloud has, clouds taking turns."""
    return np.stack([clouds[row % len(clouds)][row] for row in range(len(clouds[0]))])


def _curves(spectra: Spectra) -> Curves:
    peaks = {kind: grid_peaks(getattr(spectra, kind)) for kind in ("differences", "sampled", "white")}
    place = int(np.argmax([peak.decibel for peak in peaks["differences"]]))
    return Curves.model_validate(
        {
            "x": peaks["differences"][place].x,
            "y": peaks["differences"][place].y,
            **{kind: _rounded(ring_curve(getattr(spectra, kind))[1]) for kind in peaks},
            **{f"peaks_{kind}": _peaks(found, place) for kind, found in peaks.items()},
        }
    )


def _peaks(found: Sequence[GridPeak], place: int) -> Peaks:
    mean = float(np.mean([peak.decibel for peak in found]))
    return Peaks(mean=round(mean, DIGITS), strongest=round(found[place].decibel, DIGITS))


def _all(one: Imprints) -> list[Rows]:
    return [rows for rows in (one.differences, one.sampled, one.without) if rows is not None]


def _rounded(values: Rows) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))
