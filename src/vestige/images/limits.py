"""What a picture may cost. One policy, on by default, settable as a whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much work one picture may cause before it is refused.

    Attributes:
        max_bytes: longest file that is read, in bytes (default 64 MiB).
        max_pixels: most pixels (width times height) of the picture that is judged, checked before any of
            them is decoded (default 100 million: about 300 MB as an array and twice that while decoding).
        max_seconds: longest time for decoding files and bytes, enforced by decoding in a child process that
            is killed whatever could take long (`vestige.images.safe`). None switches time limit and child
            processes off. Pillow images and arrays are decoded by their owner and not timed.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000
    max_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.max_pixels < 1:
            raise ValueError(
                f"max_bytes and max_pixels must be at least 1, got {self.max_bytes} and {self.max_pixels}"
            )
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive or None, got {self.max_seconds}")


DEFAULT = Limits()
# For data sets: a busy moment of the computer must not change what a set consists of.
PATIENT = Limits(max_seconds=60.0)
