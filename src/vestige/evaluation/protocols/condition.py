"""The condition: one named and versioned pipeline from a file to the bytes that a detector is given."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vestige.evaluation.protocols.steps import Pixels, shorter_side
from vestige.images import decode
from vestige.images.limits import PATIENT

# Pixels as decoded and a seed -> the file that is handed to the detector.
Pipeline = Callable[[Pixels, int], bytes]


class LeftOut(Exception):  # noqa: N818 - an outcome that is counted, not a fault
    """The picture does not qualify for a condition. It is counted and never replaced.

    Attributes:
        reason: one sentence, without the file's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Condition:
    """What happens to every picture of a data set, of both classes alike, before it is scored.

    Attributes:
        name: "as-found", "web", "jpeg-50", ...
        version: raised whenever the result changes for any picture.
        family: the protocol's own name, or the sweep's ("jpeg", "resize", ...; "none" for its start).
        level: position on the axis of the sweep, in the units of `text`; 0 for `none`; None where there is
            no sweep, which also tells the protocol `crop` from the sweep of that name.
        text: one sentence that says exactly what is done.
        minimum_side: pictures whose shorter side has fewer pixels are left out.
        pipeline: uint8 [H, W, 3] and a seed -> bytes; None leaves the file as it is.
    """

    name: str
    version: int
    family: str
    level: float | None
    text: str
    minimum_side: int = 0
    pipeline: Pipeline | None = field(default=None, repr=False, compare=False)

    @property
    def title(self) -> str:
        """Name and version, as scores carry them: "web/1"."""
        return f"{self.name}/{self.version}"

    def apply(self, content: Path | bytes, key: str) -> Path | bytes:
        """What is handed to the detector instead of `content`.

        Nothing but the pixels and the key decides. What is drawn at random (the quality in `hard`, the noise
        of the sweep) follows from sha256 of protocol name, version and key: never from label, group or
        position in the manifest, and the same on every run.

        Args:
            content: a file or its bytes.
            key: the picture's name in the manifest.

        Raises:
            ImageError: the picture cannot be read.
            LeftOut: the picture is too small for this condition.
        """
        if self.pipeline is None:
            return content
        pixels = decode(content, PATIENT).pixels
        side = shorter_side(pixels)
        if side < self.minimum_side:
            raise LeftOut(
                f"The shorter side has {side} pixels, fewer than the {self.minimum_side} "
                f"that {self.title} needs."
            )
        return self.pipeline(pixels, seed_of(self.name, self.version, key))


def seed_of(name: str, version: int, key: str) -> int:
    """A number in [0, 2**256), uniformly spread over keys: sha256 of "NAME/VERSION", a zero byte, the key."""
    # Names of files that are no valid Unicode reach Python with lone surrogates.
    text = f"{name}/{version}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest(), "big")
