"""What the XMP packet says of the picture's making."""

from collections.abc import Iterable

from vestige.provenance import wording, xmp
from vestige.provenance.generators import read_fields, read_text
from vestige.provenance.source_types import aigc_label, source_type
from vestige.provenance.text import one_line
from vestige.results import Claim

_ORIGIN = "XMP"
_MAX_VALUES = 10


def xmp_claims(packet: bytes) -> list[Claim]:
    """Claims of an XMP packet, in a fixed order; never raises."""
    properties = xmp.parse_xmp(packet)
    claims = [
        *_source_types(properties),
        *_ai_properties(properties),
        *_generations(properties),
        *_software(properties),
        *wording.camera(
            _ORIGIN,
            properties.text(xmp.TIFF, "Make"),
            properties.text(xmp.TIFF, "Model"),
            properties.text(xmp.AUX, "Lens") or properties.text(xmp.EXIF_EX, "LensModel"),
            "",
            f"{properties.text(xmp.TIFF, 'Make')}\n{properties.text(xmp.TIFF, 'Model')}",
        ),
    ]
    for credit in _few(properties.texts(xmp.PHOTOSHOP, "Credit")):
        claims += wording.maker(_ORIGIN, "gives credit to", credit)
    for author in _few([*properties.texts(xmp.DC, "creator"), *properties.texts(xmp.TIFF, "Artist")]):
        claims += wording.maker(_ORIGIN, "names the author", author)
    for holder in _few([*properties.texts(xmp.DC, "rights"), *properties.texts(xmp.TIFF, "Copyright")]):
        claims += wording.maker(_ORIGIN, "names the copyright holder", holder)
    taken = properties.text(xmp.EXIF, "DateTimeOriginal") or properties.text(xmp.PHOTOSHOP, "DateCreated")
    claims += wording.time(_ORIGIN, "taken", taken)
    claims += wording.time(_ORIGIN, "created", properties.text(xmp.XMP, "CreateDate"))
    claims += wording.time(_ORIGIN, "changed", properties.text(xmp.XMP, "ModifyDate"))
    return claims


def _few(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))[:_MAX_VALUES]


def _source_types(properties: xmp.Packet) -> list[Claim]:
    claims: list[Claim] = []
    names = ("DigitalSourceType", "DigitalSourcefileType", "DigitalSourceFileType")  # the latter are older
    for value in _few(text for name in names for text in properties.texts(xmp.IPTC_EXT, name)):
        claims += wording.source(_ORIGIN, source_type(value), value)
    for value in _few(properties.texts(xmp.TC260, "AIGC")):
        claims += wording.source(_ORIGIN, aigc_label(value), value)
    return claims


def _ai_properties(properties: xmp.Packet) -> list[Claim]:
    """The properties for generated pictures of the IPTC Photo Metadata Standard 2025.1."""
    claims: list[Claim] = []
    version = one_line(properties.text(xmp.IPTC_EXT, "AISystemVersionUsed"), 40)
    for system in _few(properties.texts(xmp.IPTC_EXT, "AISystemUsed")):
        words = f"names the AI system {one_line(system, 80)}" + (f", version {version}" if version else "")
        claims.append(wording.claim(_ORIGIN, "generator", words, f"{system} {version}", "generated"))
    for prompt in _few(properties.texts(xmp.IPTC_EXT, "AIPromptInformation")):
        words = f'holds the prompt "{one_line(prompt, 120)}"'
        claims.append(wording.claim(_ORIGIN, "prompt", words, prompt, "generated"))
    for writer in _few(properties.texts(xmp.IPTC_EXT, "AIPromptWriterName")):
        words = f"names the prompt writer {one_line(writer, 80)}"
        claims.append(wording.claim(_ORIGIN, "author", words, writer, "generated"))
    return claims


def _generations(properties: xmp.Packet) -> list[Claim]:
    descriptions = (*properties.texts(xmp.DC, "description"), *properties.texts(xmp.TIFF, "ImageDescription"))
    found = read_fields({"UserComment": properties.text(xmp.EXIF, "UserComment")})
    # The record in the comment is the fuller one; a description may repeat it in other words.
    for text in _few(descriptions) if not found else ():
        generation = read_text(text)
        if generation is not None:
            found.append(generation)
    return [claim for generation in found for claim in wording.generation(_ORIGIN, generation)]


def _software(properties: xmp.Packet) -> list[Claim]:
    names = [properties.text(xmp.XMP, "CreatorTool"), properties.text(xmp.TIFF, "Software")]
    for event in properties.structures(xmp.XMP_MM, "History"):
        names.append(event.get((xmp.EVENT, "softwareAgent"), ""))
    return [claim for name in _few(filter(None, names)) for claim in wording.software(_ORIGIN, name)]
