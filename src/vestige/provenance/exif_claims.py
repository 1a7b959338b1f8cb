"""What the EXIF block says of the picture's making."""

from vestige.provenance import comfyui, wording
from vestige.provenance.exif import Exif, parse_exif
from vestige.provenance.generators import GROK, read_fields
from vestige.provenance.source_types import aigc_label
from vestige.results import Claim

_ORIGIN = "EXIF"
_EXPOSURE = {
    "ExposureTime": "exposure time",
    "FNumber": "aperture",
    "ISO": "ISO",
    "FocalLength": "focal length",
}
_SCANNER = {1, 2}  # values of FileSource: film scanner, print scanner


def exif_claims(block: bytes) -> list[Claim]:
    """Claims of an EXIF block, in a fixed order; never raises."""
    exif = parse_exif(block)
    texts = exif.texts
    claims: list[Claim] = []
    generations = read_fields(texts)
    for generation in generations:
        claims += wording.generation(_ORIGIN, generation)
    for name in ("UserComment", "ImageDescription"):
        claims += wording.source(_ORIGIN, aigc_label(texts.get(name, "")), texts.get(name, ""))
    claims += wording.software(_ORIGIN, texts.get("Software", ""))
    claims += _camera(exif)
    if not any(generation.what == GROK for generation in generations):
        claims += wording.maker(_ORIGIN, "names the author", texts.get("Artist", ""))
        claims += wording.maker(_ORIGIN, "names the author", texts.get("XPAuthor", ""))
    claims += wording.maker(_ORIGIN, "names the copyright holder", texts.get("Copyright", ""))
    claims += wording.time(
        _ORIGIN, "taken", texts.get("DateTimeOriginal", ""), texts.get("OffsetTimeOriginal", "")
    )
    claims += wording.time(_ORIGIN, "changed", texts.get("DateTime", ""), texts.get("OffsetTime", ""))
    return claims


def _camera(exif: Exif) -> list[Claim]:
    # ComfyUI keeps its graphs in these tags, and generators sign in them.
    make, model = (
        "" if comfyui.labelled(exif.texts.get(name, "")) else exif.texts.get(name, "")
        for name in ("Make", "Model")
    )
    for name in (make, model):
        found = wording.software(_ORIGIN, name)
        if found and found[0].points_to == "generated":
            return found
    value = _settings(exif)
    if exif.numbers.get("FileSource", (0, 1))[0] in _SCANNER:
        words = f"names the scanner {wording.camera_name(make, model) or 'of an unnamed maker'}"
        return [wording.claim(_ORIGIN, "camera", words, value)]
    rest = _exposure(exif)
    if exif.has_position:
        rest += "; it has a GPS position"
    claims = wording.camera(_ORIGIN, make, model, exif.texts.get("LensModel", ""), rest, value)
    if not claims and rest.startswith("and"):
        claims = [
            wording.claim(
                _ORIGIN, "camera", f"names no camera but{rest.removeprefix('and')}", value, "camera"
            )
        ]
    return claims


def _exposure(exif: Exif) -> str:
    """Whether the facts of an exposure are there, in words that follow the camera's name."""
    there = {name for name in _EXPOSURE if exif.numbers.get(name, (0, 0))[0] > 0}
    dated = any(digit in exif.texts.get("DateTimeOriginal", "") for digit in "123456789")
    if there == set(_EXPOSURE):
        return "and carries exposure settings" + ("" if dated else " but no time of exposure")
    if not there:
        return "but carries no exposure settings"
    named = [words for name, words in _EXPOSURE.items() if name in there]
    return f"and carries only some exposure settings ({', '.join(named)})"


def _settings(exif: Exif) -> str:
    """The camera's traces as found, line by line."""
    lines = [
        f"{name}: {exif.texts[name]}"
        for name in ("Make", "Model", "LensMake", "LensModel", "DateTimeOriginal")
        if name in exif.texts
    ]
    for name in _EXPOSURE:
        if name in exif.numbers:
            numerator, denominator = exif.numbers[name]
            lines.append(f"{name}: {numerator}" + (f"/{denominator}" if denominator != 1 else ""))
    return "\n".join(lines)
