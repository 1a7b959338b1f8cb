"""The part of a picture that an inpainter looks at."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Window(NamedTuple):
    """A rectangle in pixels; bottom and right are the first row and column outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For the first two axes of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def bounds(mask: npt.NDArray[np.bool_]) -> Window | None:
    """The smallest window that holds all of a mask, bool [H, W]; None if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def around(box: Window, side: int, height: int, width: int) -> Window:
    """A window with a box in its middle, where the picture's edges let it.

    Args:
        box: what it must hold.
        side: of the window in pixels at least; one and a half times the longer side of the box if that is
            more, and never more than the picture has.
        height, width: of the picture.
    """
    longer = max(box.bottom - box.top, box.right - box.left)
    wanted = max(side, longer + longer // 2)
    tall, wide = min(wanted, height), min(wanted, width)
    top = min(max(0, (box.top + box.bottom - tall) // 2), height - tall)
    left = min(max(0, (box.left + box.right - wide) // 2), width - wide)
    return Window(top, left, top + tall, left + wide)
