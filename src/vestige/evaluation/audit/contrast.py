"""Counts, shares and medians in words: how two classes differ."""

import numpy as np
import numpy.typing as npt

from vestige.evaluation.audit.folds import Labels

MOST = 3  # values named per property
_SHARE = 0.02  # smaller differences of shares are not worth a word


def percent(share: float) -> str:
    """A share in [0, 1] as a whole percentage; 0 % and 100 % are only said where they are exact."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as "1 group" or "2 groups"."""
    return f"{number} {noun if number == 1 else noun + 's'}"


def shares(values: npt.NDArray[np.str_], labels: Labels, most: int = MOST) -> list[str]:
    """The values whose shares differ most, such as "PNG: 2 % of real, 91 % of generated"."""
    real, generated = values[labels == 0], values[labels == 1]
    found = []
    for value in np.unique(values):
        a, b = float((real == value).mean()), float((generated == value).mean())
        if abs(a - b) >= _SHARE:
            found.append((-abs(a - b), str(value), a, b))
    return [
        f"{value}: {percent(a)} of real, {percent(b)} of generated" for _, value, a, b in sorted(found)[:most]
    ]


def flagged(name: str, flags: npt.NDArray[np.bool_], labels: Labels) -> list[str]:
    """Shares of the pictures that have a property, such as "square: 4 % of real, 80 % of generated"."""
    return [text for text in shares(np.where(flags, name, ""), labels) if text.startswith(f"{name}:")]


def medians(name: str, values: npt.NDArray[np.float64], labels: Labels, digits: int = 0) -> list[str]:
    """Medians of both classes, as "width: median 1024 (real), 512 (generated)"; nothing if they agree."""
    known = ~np.isnan(values)
    real, generated = values[known & (labels == 0)], values[known & (labels == 1)]
    if not len(real) or not len(generated):
        return []
    a, b = (f"{np.median(part):.{digits}f}" for part in (real, generated))
    return [f"{name}: median {a} (real), {b} (generated)"] if a != b else []
