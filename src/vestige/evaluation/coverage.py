"""Does a cloud of simulated generators cover the real ones? Components, distances, shares.

A group is covered if it lies as near to some simulated structure as simulated structures lie to each other:
its distance to the nearest is at most the 95 % quantile of the distances from each structure to its nearest
other. That is a ball around each structure, as in the recall of Kynkaanniemi et al. (2019). The coverage of
Naeem et al. (2020) puts balls around the real points instead; real generators are few and far apart, so
their balls would be wide and nearly any cloud would cover them.

Three things this figure does not say by itself:
- Sources of real pictures are the control. If the cloud covers them as well, it covers pictures, not
  generators.
- Structures share their pictures, groups do not: content alone moves a group by its `noise`. Where the noise
  is larger than the radius, not being covered says little.
- Components are those of the cloud. What real generators do in directions in which no structure differs from
  another is not seen there; it is in the distances over all frequencies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from vestige.evaluation.metrics import wilson

Rows = npt.NDArray[np.float64]  # [N, D]
Kind = Literal["generator", "source", "originals"]
Space = Literal["components", "frequencies"]

VARIANCE = 0.95  # of the cloud, in the components that are kept
MOST = 10  # components
QUANTILE = 0.95  # of the distances within the cloud
FEWEST = 10  # structures that make a cloud
DIGITS = 4


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Share(_Part):
    """How many of the groups of one kind are covered, with the 95 % Wilson interval; None without groups.

    The interval takes groups for independent; families of one model are not.
    """

    covered: int
    count: int
    share: float | None
    low: float | None
    high: float | None


class Covering(_Part):
    """Coverage by the first so many structures.

    Attributes:
        structures: their number.
        space: where distances are taken: "components" is the figure to quote, "frequencies" are all bins.
        radius_of: "own": the radius of these structures, which shrinks as they grow denser; does a group pass
            for one more of them? "largest": the radius of the largest cloud for all; does a growing cloud
            reach more? Then coverage cannot fall.
        radius: in dB.
        median: of the distances that the radius is the 95 % quantile of. A radius many times as large comes
            from a few structures far from all others, and covering by it says little.
        generators: of the generators.
        sources: of the sources of real pictures, the control.
        originals: whether the pictures that were reconstructed are covered as they were.
        not_covered: names of the generators that are not.
    """

    structures: int
    space: Space
    radius_of: Literal["own", "largest"]
    radius: float
    median: float
    generators: Share
    sources: Share
    originals: bool
    not_covered: list[str]


class Point(_Part):
    """Where a group lies, and how far from the largest cloud.

    Attributes:
        name: of the generator or source; "originals" are the reconstructed pictures as they were.
        kind: which of the three.
        pictures: behind its mean spectrum.
        coordinates: in the components.
        nearest: place of the nearest structure in the order of drawing, by components.
        distance: to it.
        farther: share of the structures that lie at least so far from their nearest other; covered means
            more than 5 %.
        distance_frequencies: to the nearest by all frequencies.
        noise: standard error of the place: how far other pictures would move it.
        noise_frequencies: the same over all frequencies.
        covered: at the cloud's own radius, by components.
        covered_frequencies: by all frequencies.
    """

    name: str
    kind: Kind
    pictures: int
    coordinates: list[float]
    nearest: int
    distance: float
    farther: float
    distance_frequencies: float
    noise: float
    noise_frequencies: float
    covered: bool
    covered_frequencies: bool


class Report(_Part):
    """What `spectra.json` holds.

    Distances and coordinates are in dB, root mean square over the frequencies: two spectra that differ by
    1 dB everywhere are at a distance of 1.

    Attributes:
        format: 1.
        settings: what spectra were made of and with.
        left_out: groups with too few pictures: {kind, name, pictures, too_small}.
        too_small: pictures smaller than the crop, by group; they are not used.
        conclusion: in words, of all structures.
        explained: share of the cloud's variance that each component has.
        structures: coordinates of each, in the order of drawing.
        points: generators, sources, the originals.
        coverings: for each number of structures, both spaces, both radii.
    """

    format: Literal[1] = 1
    settings: dict[str, Any]
    left_out: list[dict[str, str | int]]
    too_small: dict[str, int]
    conclusion: str
    explained: list[float]
    structures: list[list[float]]
    points: list[Point]
    coverings: list[Covering]


@dataclass(frozen=True)
class Group:
    """Pictures of one generator or source: spectra in dB, [pictures, frequencies]."""

    name: str
    kind: Kind
    spectra: npt.NDArray[np.floating[Any]]


class Cloud:
    """Simulated structures with their distances among themselves.

    Args:
        rows: [N, D], N at least 2.
    """

    def __init__(self, rows: Rows) -> None:
        self._search = NearestNeighbors(n_neighbors=1).fit(rows)
        apart, _ = self._search.kneighbors()  # without points of one's own, the structure itself is left out
        self.apart: Rows = apart[:, 0]
        # A distance that occurs, so that it is the same to ask for the radius or for the share farther away.
        self.radius = float(np.quantile(self.apart, QUANTILE, method="inverted_cdf"))

    def nearest(self, points: Rows) -> tuple[Rows, npt.NDArray[np.int64]]:
        """Distance to the nearest structure and its place, [P] each."""
        if not len(points):
            return np.empty(0), np.empty(0, np.int64)
        distances, places = self._search.kneighbors(points)
        return distances[:, 0], places[:, 0]


def cover(
    structures: npt.NDArray[np.floating[Any]],
    groups: Sequence[Group],
    counts: Sequence[int],
    settings: dict[str, Any],
    left_out: Sequence[dict[str, str | int]] = (),
    too_small: dict[str, int] | None = None,
) -> Report:
    """Measure how well structures cover groups.

    Components are fitted to all structures, not standardised: frequencies have one unit, and those that no
    structure changes should not weigh more for it.

    Args:
        structures: spectra in dB, [N, frequencies], in the order of drawing.
        groups: with at least 2 pictures each; one of them the originals.
        counts: numbers of structures, rising, from 10 on; the last is N.
        settings, left_out, too_small: for the report.

    Raises:
        ValueError: other counts.
    """
    if list(counts) != sorted(set(counts)) or counts[0] < FEWEST or counts[-1] != len(structures):
        raise ValueError(
            f"counts must rise from {FEWEST} or more to {len(structures)}, got {', '.join(map(str, counts))}"
        )
    scale = structures.shape[1] ** -0.5
    simulated = np.asarray(structures, np.float64) * scale
    pictures = [np.asarray(group.spectra, np.float64) * scale for group in groups]
    means = np.stack([rows.mean(0) for rows in pictures])
    pca = PCA(min(len(simulated) - 1, simulated.shape[1], MOST), svd_solver="full").fit(simulated)
    explained = pca.explained_variance_ratio_
    kept = min(int(np.searchsorted(explained.cumsum(), VARIANCE)) + 1, len(explained))
    axes = pca.components_[:kept].T
    spaces: dict[Space, tuple[Rows, Rows]] = {
        "components": ((simulated - pca.mean_) @ axes, (means - pca.mean_) @ axes),
        "frequencies": (simulated, means),
    }
    largest = {space: Cloud(cloud) for space, (cloud, _) in spaces.items()}
    coverings = []
    for count in counts:
        for space, (cloud, found) in spaces.items():
            some = largest[space] if count == len(simulated) else Cloud(cloud[:count])
            distances, _ = some.nearest(found)
            coverings += [
                _covering(groups, distances, count, space, "own", some),
                _covering(groups, distances, count, space, "largest", largest[space]),
            ]
    cloud, found = spaces["components"]
    near, places = largest["components"].nearest(found)
    near_all, _ = largest["frequencies"].nearest(means)
    points = [
        Point(
            name=group.name,
            kind=group.kind,
            pictures=len(group.spectra),
            coordinates=_rounded(found[number]),
            nearest=int(places[number]),
            distance=round(float(near[number]), DIGITS),
            farther=round(float((largest["components"].apart >= near[number]).mean()), DIGITS),
            distance_frequencies=round(float(near_all[number]), DIGITS),
            noise=round(_noise((pictures[number] - pca.mean_) @ axes), DIGITS),
            noise_frequencies=round(_noise(pictures[number]), DIGITS),
            covered=bool(near[number] <= largest["components"].radius),
            covered_frequencies=bool(near_all[number] <= largest["frequencies"].radius),
        )
        for number, group in enumerate(groups)
    ]
    last = next(one for one in reversed(coverings) if one.space == "components")
    return Report(
        settings=settings,
        left_out=list(left_out),
        too_small=too_small or {},
        conclusion=conclusion(last, points),
        explained=_rounded(explained[:kept]),
        structures=[_rounded(row) for row in cloud],
        points=points,
        coverings=coverings,
    )


def conclusion(last: Covering, points: Sequence[Point]) -> str:
    """The figure of all structures in words, and whether the control lets it mean anything."""
    generators, sources = last.generators, last.sources
    if generators.low is None or generators.high is None:
        return f"No generator is here to be covered by the {last.structures} structures."
    said = f"{_told(generators, 'generators')} lie within the cloud of {last.structures} structures"
    if sources.low is None or sources.high is None:
        return f"{said}; without real sources as a control that says nothing about generation."
    said += f", and {_told(sources, 'real sources')}"
    if generators.low > sources.high:
        said += ": the cloud lies where generators are and most real sources are not."
    elif sources.low > generators.high:
        said += ": the cloud lies among real pictures rather than among generators."
    else:
        said += ": the intervals overlap, so coverage says nothing about generation here."
    moved = sum(point.noise > last.radius for point in points if point.kind == "generator")
    if moved:
        said += f" The choice of pictures alone moves {moved} of the generators by more than the radius."
    return said


def _covering(
    groups: Sequence[Group],
    distances: Rows,
    count: int,
    space: Space,
    radius_of: Literal["own", "largest"],
    reach: Cloud,
) -> Covering:
    inside = {
        (group.kind, group.name): bool(at <= reach.radius)
        for group, at in zip(groups, distances, strict=True)
    }
    return Covering(
        structures=count,
        space=space,
        radius_of=radius_of,
        radius=round(reach.radius, DIGITS),
        median=round(float(np.median(reach.apart)), DIGITS),
        generators=_share([yes for (kind, _), yes in inside.items() if kind == "generator"]),
        sources=_share([yes for (kind, _), yes in inside.items() if kind == "source"]),
        originals=any(yes for (kind, _), yes in inside.items() if kind == "originals"),
        not_covered=[name for (kind, name), yes in inside.items() if kind == "generator" and not yes],
    )


def _share(inside: Sequence[bool]) -> Share:
    covered, count = sum(inside), len(inside)
    if not count:
        return Share(covered=0, count=0, share=None, low=None, high=None)
    low, high = (round(bound, DIGITS) for bound in wilson(covered, count))
    return Share(covered=covered, count=count, share=round(covered / count, DIGITS), low=low, high=high)


def _noise(rows: Rows) -> float:
    """Standard error of the mean of rows, over all coordinates; they may be correlated."""
    return float(np.sqrt(rows.var(0, ddof=1).sum() / len(rows)))


def _told(share: Share, what: str) -> str:
    return f"{share.covered} of {share.count} {what} (95 % interval {share.low:.0%} to {share.high:.0%})"


def _rounded(values: Rows) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
