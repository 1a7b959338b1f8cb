"""Bytes -> `Picture`: safe decoding, colour, orientation, facts of the file; and `Picture` -> views."""

from vestige.images.decode import decode
from vestige.images.limits import Limits
from vestige.images.picture import Picture, RawMetadata

__all__ = ["Limits", "Picture", "RawMetadata", "decode"]
