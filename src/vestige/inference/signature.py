"""Run an extractor over a whole picture at its own size, large pictures in tiles that fade into each other.

The network normalises over all that it is shown, so a tile gives slightly other values than one passage over
the whole picture would; the fading keeps the seams from showing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vestige.errors import ModelPackageError
from vestige.inference.package import ExtractorPackage
from vestige.inference.session import open_graph

INPUT, OUTPUT = "images", "signature"
TILE = 512  # longest side of a tile; a width of 64 channels takes 67 MB for each tensor
FADE = 64  # pixels, at least, over which one tile passes into the next
GRID = 8  # tiles begin at multiples of it: strided convolutions see the same pixels as in the whole picture

Pixels = npt.NDArray[np.uint8]
Residual = npt.NDArray[np.float32]


class Span(NamedTuple):
    """A tile along one axis.

    Attributes:
        start, end: in pixels.
        weight: float32 [end - start], how much the tile counts at each; those of all tiles add up to 1.
    """

    start: int
    end: int
    weight: npt.NDArray[np.float32]


class Signature(NamedTuple):
    """What the network says of a picture.

    Attributes:
        residual: float32 [H, W, 3], in units of pictures in [-1, 1]; one grey level is 2 / 255.
        tiles: in how many tiles it was computed.
    """

    residual: Residual
    tiles: int

    @property
    def grey_levels(self) -> float:
        """Root mean square over the picture and its channels, in grey levels of 0-255."""
        squares = sum(float(np.square(row, dtype=np.float64).sum()) for row in self.residual)
        return float((squares / self.residual.size) ** 0.5 * 127.5)


Track = Callable[[Sequence[tuple[Span, Span]], str], Iterable[tuple[Span, Span]]]


class ExtractorSession:
    """An ONNX Runtime session for one extractor.

    Args:
        package: what to run.
        threads: threads inside one operator; None: the processors at hand.

    Raises:
        ModelPackageError: ONNX Runtime refuses the graph, or it is not of the form that the card promises.
    """

    def __init__(self, package: ExtractorPackage, threads: int | None = None) -> None:
        self.card = package.card
        self._folder = package.folder
        self._session = open_graph(package.folder, package.graphs[0], threads)
        for what, name, found in (
            ("input", INPUT, self._session.get_inputs()),
            ("output", OUTPUT, self._session.get_outputs()),
        ):
            if [one.name for one in found] != [name]:
                raise ModelPackageError(
                    f"{package.folder}: an extractor's graph has the one {what} {name!r}, this one has "
                    f"{', '.join(one.name for one in found)}"
                )
        shape = self._session.get_inputs()[0].shape
        # A dimension that is free is a name or None.
        if len(shape) != 4 or shape[1] != 3 or any(isinstance(shape[axis], int) for axis in (0, 2, 3)):
            raise ModelPackageError(
                f"{package.folder}: the graph takes an input of shape {shape}, not images of any "
                "number and size"
            )

    def run(self, images: Pixels) -> Residual:
        """One passage of the network.

        Args:
            images: uint8 [N, H, W, 3], sRGB.

        Returns:
            float32 [N, H, W, 3], in units of pictures in [-1, 1].

        Raises:
            ModelPackageError: the graph gives another size, or values that are no numbers.
        """
        batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        batch /= 255
        found = np.asarray(self._session.run([OUTPUT], {INPUT: batch})[0], dtype=np.float32)
        if found.shape != batch.shape:
            raise ModelPackageError(
                f"{self._folder}: the graph made a signature of shape {found.shape} of pictures of shape "
                f"{batch.shape}"
            )
        if not np.isfinite(found).all():
            raise ModelPackageError(f"{self._folder}: the graph gives values that are no finite numbers")
        channels_last: Residual = found.transpose(0, 2, 3, 1)
        return channels_last

    def extract(self, pixels: Pixels, track: Track | None = None) -> Signature:
        """The signature of a whole picture; takes 12 bytes a pixel beside what one tile needs.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            track: goes through the tiles and shows how far.

        Raises:
            ModelPackageError: as `run`.
        """
        height, width = pixels.shape[:2]
        tiles = [(y, x) for y in spans(height, self.card.reach) for x in spans(width, self.card.reach)]
        residual = np.zeros((height, width, 3), np.float32)
        for y, x in track(tiles, "tiles") if track is not None else tiles:
            tile = self.run(pixels[None, y.start : y.end, x.start : x.end])[0]
            tile = tile * (y.weight[:, None] * x.weight)[..., None]
            residual[y.start : y.end, x.start : x.end] += tile
        return Signature(residual, len(tiles))


def spans(length: int, reach: int) -> list[Span]:
    """Tiles along an axis: as few as go, of about one size, one fading into the next where both are sound.

    Args:
        length: of the axis in pixels.
        reach: so many pixels at a tile's inner edges miss some of their surroundings, and count nothing.
    """
    unsound = _up(reach)
    overlap = 2 * unsound + FADE
    if length <= TILE:
        return [Span(0, length, np.ones(length, np.float32))]
    count = -(-(length - overlap) // (TILE - overlap))
    size = _up(-(-(length + (count - 1) * overlap) // count))
    starts = [index * (length - size) // (count - 1) // GRID * GRID for index in range(count)]
    ends = [start + size for start in starts[:-1]] + [length]
    found = []
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        place = np.arange(start, end, dtype=np.float64) + 0.5
        weight = np.ones(end - start)
        if index:
            weight *= _rise(place, start + unsound, ends[index - 1] - unsound)
        if index + 1 < count:
            weight *= 1 - _rise(place, starts[index + 1] + unsound, end - unsound)
        found.append(Span(start, end, weight.astype(np.float32)))
    return found


def _rise(place: npt.NDArray[np.float64], begin: int, end: int) -> npt.NDArray[np.float64]:
    return np.clip((place - begin) / (end - begin), 0, 1)


def _up(length: int) -> int:
    return -(-length // GRID) * GRID
