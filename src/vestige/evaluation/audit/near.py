"""Near-duplicates: pairs of pictures that are copies but for size, compression and small changes of tone.

Two pictures are near-duplicates if all of these hold:

1. neither is flat (standard deviation of the 16x16 grey thumbnail of at least `FLAT` grey levels);
2. their 64-bit difference hashes differ in at most `MAX_BITS` bits;
3. their 16x16 grey thumbnails correlate with at least `MIN_CORRELATION`;
4. their 8x8 colour thumbnails differ by at most `MAX_COLOUR` levels, root mean square.

Cropped, turned and mirrored copies are not found. Hashes that differ in at most 6 bits agree in at least one
of 7 parts (pigeonhole), so only pictures that share a part are compared: for 50,000 pictures some tens of
millions of comparisons of integers instead of more than a billion.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vestige.evaluation.audit.measure import COLOUR, Records

FLAT = 6.0
MAX_BITS = 6
MIN_CORRELATION = 0.98
MAX_COLOUR = 16.0

_PARTS = MAX_BITS + 1
_BLOCK = 2**20  # comparisons at a time: some 25 MB
_PAIRS = 2**14  # pairs verified at a time
_KEPT = 100  # closest pairs remembered

_ONES = np.array([value.bit_count() for value in range(2**16)], dtype=np.uint8)

Indices = npt.NDArray[np.int64]
Question = Callable[[Indices, Indices], npt.NDArray[np.bool_]]


@dataclass
class Pairs:
    """Near-duplicates that matter for one question.

    Attributes:
        members: indices of pictures that have a near-duplicate.
        closest: the most alike pairs, (1 - correlation, index, index), smallest first.
    """

    members: set[int] = field(default_factory=set)
    closest: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, first: Indices, second: Indices, correlation: npt.NDArray[np.float64]) -> None:
        """Take in verified pairs; a pair may come more than once."""
        self.members.update(first.tolist(), second.tolist())
        distance = np.round(1 - correlation, 6)
        pairs = zip(distance.tolist(), first.tolist(), second.tolist(), strict=True)
        self.closest = sorted({*self.closest, *pairs})[:_KEPT]


def is_flat(records: Records) -> npt.NDArray[np.bool_]:
    """Which pictures show too little to be recognised, [N]."""
    return np.asarray(records["grey"].reshape(len(records), -1).std(1) < FLAT)


def candidates(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[Indices, Indices]]:
    """All pairs (i < j) whose hashes differ in at most `MAX_BITS` bits, in portions; some come several times.

    Args:
        hashes: uint64 [N].
    """
    for part in range(_PARTS):
        # Every seventh bit: neighbouring bits agree in too many pictures (bright sky above).
        keys = hashes & np.uint64(sum(1 << bit for bit in range(part, 64, _PARTS)))
        order = np.argsort(keys, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            if len(members) > 1:
                yield from _compare(hashes, members)


def _compare(hashes: npt.NDArray[np.uint64], members: Indices) -> Iterator[tuple[Indices, Indices]]:
    step = max(1, _BLOCK // len(members))
    for start in range(0, len(members) - 1, step):
        rows, columns = members[start : start + step], members[start:]
        differ = hashes[rows][:, None] ^ hashes[columns][None]
        # One 16-bit quarter after the other, in a table: NumPy counts bits by itself only from version 2.
        bits = _ONES[differ & np.uint64(0xFFFF)]
        for shift in (16, 32, 48):
            bits += _ONES[(differ >> np.uint64(shift)) & np.uint64(0xFFFF)]
        first, second = np.nonzero(bits <= MAX_BITS)
        later = second > first
        if later.any():
            # The sort that made the bucket is stable, so members are in ascending order.
            yield rows[first[later]], columns[second[later]]


def verify(records: Records, first: Indices, second: Indices) -> npt.NDArray[np.float64]:
    """Correlation of the grey thumbnails of each pair, -1 where the colours differ too much, [P]."""
    grey = records["grey"].reshape(len(records), -1)
    a, b = (grey[index].astype(np.float64) for index in (first, second))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    correlation = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    colour = records["colour"].reshape(len(records), -1)
    gap = colour[first].astype(np.float64) - colour[second]
    return np.where(np.sqrt((gap * gap).mean(1)) <= MAX_COLOUR, correlation, -1.0)


def _coarse(records: Records) -> npt.NDArray[np.float32]:
    """Colour thumbnails of 2x2 cells, [N, 12]: averages cannot differ by more than what they are made of.

    Pairs whose averages are too far apart are dropped before the costlier look; it changes no result.
    """
    quarters = records["colour"].reshape(len(records), 2, COLOUR // 2, 2, COLOUR // 2, 3)
    return np.asarray(quarters.mean((2, 4), dtype=np.float32).reshape(len(records), 12))


def near_duplicates(
    records: Records, usable: npt.NDArray[np.bool_], same: Indices, questions: dict[str, Question]
) -> dict[str, Pairs]:
    """Near-duplicates among the pairs that are asked about. Pairs with identical pixels are left out.

    Args:
        records: [N] of `measure.RECORD`.
        usable: bool [N]; other pictures are left out.
        same: int64 [N]; of pictures with the same pixels and the same number here, one stands for all.
        questions: name -> which pairs matter.

    Returns:
        For each question its pairs; indices are those of the records.
    """
    found = {name: Pairs() for name in questions}
    index = np.flatnonzero(usable & ~is_flat(records))
    keys = np.column_stack([records["pixel_digest"][index], same[index].astype(np.uint64)])
    index = index[np.sort(np.unique(keys, axis=0, return_index=True)[1])]
    coarse = _coarse(records)
    for i, j in candidates(records["hash"][index]):
        first, second = index[i], index[j]
        close = np.square(coarse[first] - coarse[second]).mean(1) <= MAX_COLOUR**2
        first, second = first[close], second[close]
        matters = {name: asked(first, second) for name, asked in questions.items()}
        different = records["pixel_digest"][first] != records["pixel_digest"][second]
        places = np.flatnonzero(np.logical_or.reduce(list(matters.values())) & different)
        for start in range(0, len(places), _PAIRS):
            at = places[start : start + _PAIRS]
            correlation = verify(records, first[at], second[at])
            for name, mask in matters.items():
                good = mask[at] & (correlation >= MIN_CORRELATION)
                found[name].add(first[at][good], second[at][good], correlation[good])
    return found
