"""The picture as it travels through the house: pixels, facts of the file, raw metadata."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vestige.results import Facts


@dataclass(frozen=True)
class RawMetadata:
    """Metadata blocks as found in the file, not interpreted (`vestige.provenance` does that).

    Attributes:
        exif: EXIF block from the TIFF header on ("II*\\0" or "MM\\0*"), without an "Exif\\0\\0" prefix.
        xmp: XMP packet, UTF-8 XML.
        iptc: IPTC-IIM records (Photoshop resource 0x0404), raw.
        text: PNG tEXt/zTXt/iTXt chunks and the like, key to value; JPEG and GIF comments under "comment".
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        pixels: uint8 [H, W, 3], sRGB, upright, never resampled.
        facts: what was measured about the file.
        metadata: raw metadata blocks.
    """

    pixels: npt.NDArray[np.uint8]
    facts: Facts
    metadata: RawMetadata = field(default_factory=RawMetadata)
