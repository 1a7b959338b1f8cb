"""What the IPTC-IIM records say of the picture's making."""

from vestige.provenance import wording
from vestige.provenance.generators import read_text
from vestige.provenance.iptc import parse_iptc
from vestige.results import Claim

_ORIGIN = "IPTC"
_MAX_VALUES = 10
_UPLOAD_MARK = "FBMD"


def iptc_claims(block: bytes) -> list[Claim]:
    """Claims of IPTC-IIM records, in a fixed order; never raises."""
    fields = {name: list(dict.fromkeys(values))[:_MAX_VALUES] for name, values in parse_iptc(block).items()}
    claims: list[Claim] = []
    for name in ("Caption", "SpecialInstructions"):
        for text in fields.get(name, []):
            generation = read_text(text)
            if generation is not None:
                claims += wording.generation(_ORIGIN, generation)
    version = next(iter(fields.get("ProgramVersion", [])), "")
    for program in fields.get("OriginatingProgram", []):
        claims += wording.software(_ORIGIN, f"{program} {version}".strip())
    for text in fields.get("SpecialInstructions", []):
        if text.startswith(_UPLOAD_MARK):
            words = "holds the mark that Facebook and Instagram leave on pictures"
            claims.append(wording.claim(_ORIGIN, "software", words, text))
    for name, role in (
        ("Credit", "gives credit to"),
        ("By-line", "names the author"),
        ("CopyrightNotice", "names the copyright holder"),
        ("Source", "names the source"),
    ):
        for text in fields.get(name, []):
            claims += wording.maker(_ORIGIN, role, text)
    day = next(iter(fields.get("DateCreated", [])), "")
    clock = next(iter(fields.get("TimeCreated", [])), "")
    return claims + wording.time(_ORIGIN, "created", _moment(day, clock))


def _moment(day: str, clock: str) -> str:
    """20190714 and 120102+0200 as 2019-07-14 12:01:02+0200; anything else as it is."""
    if len(day) == 8 and day.isdigit():
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    if clock[:6].isdigit() and len(clock) >= 6:
        clock = f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"
    return f"{day} {clock}".strip() if day else ""
