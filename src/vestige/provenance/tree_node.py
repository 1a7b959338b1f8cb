"""A name, its value and what belongs to it: the one form of all metadata in a tree."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One entry of a tree of metadata.

    Attributes:
        name: tag, property, field or box; of the file's own choosing in part.
        value: as text; empty where only children matter.
        children: entries below.
    """

    name: str
    value: str = ""
    children: tuple["Node", ...] = ()


def binary(data: bytes, count: int | None = None) -> str:
    """Bytes without a known meaning, such as "52 49 46 46 … (1,204 bytes)".

    Args:
        data: the bytes, or their beginning.
        count: how many they are in all.
    """
    total = len(data) if count is None else count
    shown = data[:16].hex(" ")
    return f"{shown}{' …' if total > 16 else ''} ({total:,} byte{'' if total == 1 else 's'})"
