"""A smaller data set for what is measured many times over: the same few pictures of every group."""

import hashlib

from vestige.data.manifest import Row


def sample(rows: list[Row], per_class: int | None) -> list[Row]:
    """At most `per_class` rows of each class, in the order of the manifest.

    Groups take turns, so that each gives as many as the others as long as it has any; within a group the hash
    of the name decides. Nothing is drawn at random, and other groups do not change which rows of a group come
    first.
    """
    if per_class is None:
        return rows
    kept: set[int] = set()
    for label in (0, 1):
        groups: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            if row.label == label:
                groups.setdefault(row.group, []).append(index)
        queues = [sorted(groups[name], key=lambda index: _rank(rows[index])) for name in sorted(groups)]
        longest = max(map(len, queues), default=0)
        turns = [index for turn in range(longest) for queue in queues for index in queue[turn : turn + 1]]
        kept.update(turns[:per_class])
    return [row for index, row in enumerate(rows) if index in kept]


def _rank(row: Row) -> str:
    return hashlib.sha256(row.name.encode()).hexdigest()
