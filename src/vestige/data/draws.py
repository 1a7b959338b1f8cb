"""What is drawn for a picture follows from its name, so that nothing else in the set redraws it."""

import hashlib
from collections.abc import Sequence

import numpy as np

from vestige.data.manifest import Row
from vestige.errors import DataError

Group = tuple[int, str]  # label, group


def name_key(name: str) -> list[int]:
    """Two numbers below 2^32 that seed what is drawn for whatever has this name."""
    digest = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")]


def draw_rows(rows: Sequence[Row], per_group: int, seed: Sequence[int]) -> list[int]:
    """Indices of at most `per_group` rows of each group of each class, in the order of the rows.

    Other groups do not change what is drawn of one, and a larger `per_group` only adds to it.

    Args:
        rows: of a manifest.
        per_group: at least 1.
        seed: none of its numbers negative.
    """
    groups: dict[Group, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.label, row.group), []).append(index)
    drawn: list[int] = []
    for (label, group), members in groups.items():
        rng = np.random.default_rng([*seed, label, *name_key(group)])
        drawn.extend(int(index) for index in rng.permutation(members)[:per_group])
    return sorted(drawn)


class Donors:
    """Rows that hosts get content from, grouped once for all hosts.

    Args:
        rows: of a manifest.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        # Of each split, rows of each group of each class; and rows of each original, and of each name.
        self._groups: dict[str, dict[Group, list[int]]] = {}
        self._originals: dict[str, list[int]] = {}
        self._names: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            self._groups.setdefault(row.split, {}).setdefault((row.label, row.group), []).append(index)
            self._originals.setdefault(row.picture or row.name, []).append(index)
            self._names.setdefault(row.name, []).append(index)

    def draw(self, host: int, rng: np.random.Generator) -> int:
        """Index of the row that a host gets content from.

        Of the host's split, so that splits share no picture; never of the same original; of another group
        where there is one. Real and generated are equally likely where both are there, then each group, then
        each row.

        Args:
            host: index of the row that is manipulated.
            rng: advanced by the same three draws whatever the rows.

        Raises:
            DataError: no row is left.
        """
        own = self._rows[host]
        same = {*self._originals[own.picture or own.name], *self._names[own.name]}
        groups = dict(self._groups[own.split])
        for key in {(self._rows[index].label, self._rows[index].group) for index in same}:
            left = [index for index in groups.pop(key, []) if index not in same]
            if left:
                groups[key] = left
        others = {key: members for key, members in groups.items() if key != (own.label, own.group)} or groups
        if not others:
            where = f" of split {own.split!r}" if own.split else ""
            raise DataError(
                f"{own.name}: there is no other picture{where} to take content from; add pictures, or leave "
                "out the manipulations that need two"
            )
        labels = sorted({label for label, _ in others})
        label = labels[rng.integers(len(labels))]
        names = sorted(group for of, group in others if of == label)
        members = others[label, names[rng.integers(len(names))]]
        return members[rng.integers(len(members))]
