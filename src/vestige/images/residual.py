"""What a high-pass filter of the spatial rich model leaves of a picture, and numbers about it.

The filter is the 5 x 5 square of Fridrich and Kodovsky (2012), "Rich models for steganalysis of digital
images", IEEE TIFS 7(3); also known as the KV filter. It predicts a pixel from its 24 neighbours and keeps
the error: all polynomials up to the third degree along an axis vanish, grain and fine patterns stay.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# The twelfth part, so that the central weight is -1 and residuals are in grey levels.
KERNEL = (
    np.array(
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]],
        np.float32,
    )
    / 12
)
_REACH = 2

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


class Statistics(NamedTuple):
    """Numbers about a residual, in grey levels where they have a unit.

    Attributes:
        rms: root mean square.
        mean_absolute: mean of the absolute values.
        quantile_99: 99 % of the absolute values are not above it.
        kurtosis: fourth moment about the mean over the square of the second, less 3: 0 for Gaussian noise,
            positive where a few places are much stronger than the rest; 0 of a constant.
        silent: share of values below 1/24 grey level, which are zeros but for rounding: flat or clipped
            areas; weights are twelfths, and brightness is a sum of thousandths.
    """

    rms: float
    mean_absolute: float
    quantile_99: float
    kurtosis: float
    silent: float


def luma(pixels: Pixels) -> Plane:
    """Brightness (ITU-R BT.601, as in JPEG): uint8 [H, W, 3] -> float32 [H, W] in grey levels 0-255."""
    plane: Plane = pixels @ _LUMA
    return plane


def srm_residual(plane: Plane) -> Plane:
    """The plane after the filter, mirrored at its edges without repeating them.

    Args:
        plane: float32 [H, W] in grey levels.

    Returns:
        float32 [H, W] in grey levels.
    """
    height, width = plane.shape
    # A side of one or two pixels has nothing to mirror twice; NumPy folds back and forth.
    around = np.pad(plane, _REACH, mode="reflect") if min(height, width) > 1 else _padded(plane)
    found = np.zeros_like(plane)
    for dy in range(len(KERNEL)):
        for dx in range(len(KERNEL)):
            found += KERNEL[dy, dx] * around[dy : dy + height, dx : dx + width]
    return found


def statistics(residual: Plane) -> Statistics:
    """Numbers about a residual, float [H, W]."""
    values = residual.astype(np.float64).ravel()
    size = np.abs(values)
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return Statistics(
        rms=float(np.sqrt((values**2).mean())),
        mean_absolute=float(size.mean()),
        quantile_99=float(np.quantile(size, 0.99)),
        kurtosis=float((centred**4).mean() / variance**2 - 3) if variance > 1e-12 else 0.0,
        silent=float((size < 1 / 24).mean()),
    )


def _padded(plane: Plane) -> Plane:
    """A side of one pixel is repeated, the other mirrored."""
    rows = "edge" if plane.shape[0] == 1 else "reflect"
    columns = "edge" if plane.shape[1] == 1 else "reflect"
    taller = np.pad(plane, ((_REACH, _REACH), (0, 0)), mode=rows)  # type: ignore[call-overload]
    wider: Plane = np.pad(taller, ((0, 0), (_REACH, _REACH)), mode=columns)  # type: ignore[call-overload]
    return wider
