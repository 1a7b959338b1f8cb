"""Parts of the training pictures that a recipe is fitted on: without a generator, or a fraction of all."""

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vestige.data.manifest import Row
from vestige.errors import DataError


class Variant(BaseModel):
    """Which of a recipe's pictures a fit sees.

    Attributes:
        name: for folders and reports; "" for the whole.
        without_generator: pictures of this generator are not seen.
        without_sources: nor real pictures of these sources.
        fraction: of the pictures of each class, drawn by the recipe's seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    without_generator: str = ""
    without_sources: tuple[str, ...] = ()
    fraction: float = Field(1.0, gt=0, le=1)

    def held_out(self, row: Row) -> bool:
        """Whether a row belongs to what the variant leaves out by name."""
        if row.label == 1:
            return row.group == self.without_generator
        return row.group in self.without_sources

    def keeps(self, rows: list[Row], seed: int) -> npt.NDArray[np.bool_]:
        """Whether each row is seen: bool [rows]."""
        held_out = [self.held_out(row) for row in rows]
        # What derives from a held-out picture is as good as that picture.
        derived = {row.picture for row, out in zip(rows, held_out, strict=True) if out and row.picture}
        kept = np.array(
            [not out and row.picture not in derived for row, out in zip(rows, held_out, strict=True)]
        )
        if self.fraction < 1:
            labels = np.array([row.label for row in rows])
            for label in (0, 1):
                members = np.flatnonzero(kept & (labels == label))
                count = max(1, round(self.fraction * len(members)))
                # Smaller fractions are parts of larger ones: the curve then shows more pictures, not others.
                dropped = np.random.default_rng([seed, label]).permutation(members)[count:]
                kept[dropped] = False
        return kept


WHOLE = Variant()
# Real sources are dealt into so many hands at most: a hand must hold enough pictures for a figure.
MOST_HANDS = 5


def leave_one_out(rows: list[Row]) -> list[Variant]:
    """One variant per generator; the sources of real pictures are dealt among them, largest first.

    What a model is tested on must be new to it on both sides: a generator and some sources.

    Raises:
        DataError: fewer than two generators, or fewer than two sources.
    """
    sizes: dict[int, dict[str, int]] = {0: {}, 1: {}}
    for row in rows:
        sizes[row.label][row.group] = sizes[row.label].get(row.group, 0) + 1
    generators, sources = sorted(sizes[1]), sorted(sizes[0], key=lambda name: (-sizes[0][name], name))
    if len(generators) < 2 or len(sources) < 2:
        raise DataError(
            "leaving one generator out needs at least two generators and two sources of real pictures, "
            f"there are {len(generators)} and {len(sources)}"
        )
    hands = min(len(generators), len(sources), MOST_HANDS)
    dealt: list[list[str]] = [[] for _ in range(hands)]
    load = [0] * hands
    for source in sources:
        target = load.index(min(load))
        dealt[target].append(source)
        load[target] += sizes[0][source]
    return [
        Variant(
            name=f"without-{generator}",
            without_generator=generator,
            without_sources=tuple(sorted(dealt[number % hands])),
        )
        for number, generator in enumerate(generators)
    ]


def fractions(values: list[float]) -> list[Variant]:
    """One variant per fraction, smallest first."""
    return [Variant(name=f"{value * 100:g}pct", fraction=value) for value in sorted(set(values))]
