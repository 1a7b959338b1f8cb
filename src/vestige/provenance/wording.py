"""The sentences that claims of several blocks share.

Every sentence begins with the origin, so that equal words from two origins can be told to be one claim.
"""

from typing import Literal

from vestige.provenance.generation import Generation
from vestige.provenance.source_types import PointsTo, SourceType
from vestige.provenance.text import clean, one_line
from vestige.provenance.tools import tool_named_by
from vestige.results import Claim

Kind = Literal["camera", "software", "generator", "prompt", "source_type", "time", "author", "credential"]


def claim(origin: str, kind: Kind, words: str, value: str = "", points_to: PointsTo | None = None) -> Claim:
    """One unsigned claim; `words` follow the origin, without the full stop."""
    statement = one_line(f"{origin} {words}", 700).rstrip(".") + "."
    return Claim(origin=origin, kind=kind, statement=statement, value=clean(value), points_to=points_to)


def software(origin: str, name: str) -> list[Claim]:
    """What a field that names a program says."""
    short = one_line(name, 80)
    if not short:
        return []
    tool = tool_named_by(name)
    if tool is None:
        return [claim(origin, "software", f"names the software {short}", name)]
    kind: Kind = "generator" if tool.points_to == "generated" else "software"
    return [claim(origin, kind, f"names the software {short}, {tool.words}", name, tool.points_to)]


def maker(origin: str, role: str, name: str) -> list[Claim]:
    """What a field for people and agencies says; generators sign there, too.

    Args:
        origin: the block.
        role: verb and noun that precede the name ("names the author", "gives credit to").
        name: the field.
    """
    short = one_line(name, 80)
    if not short:
        return []
    tool = tool_named_by(name, credit=True)
    if tool is None:
        return [claim(origin, "author", f"{role} {short}", name)]
    kind: Kind = "generator" if tool.points_to == "generated" else "software"
    return [claim(origin, kind, f'{role} "{short}", {tool.words}', name, tool.points_to)]


def source(origin: str, declared: SourceType | None, value: str) -> list[Claim]:
    """What a declared source type or label says."""
    if declared is None:
        return []
    words = f"says that the picture {declared.words} ({declared.term})"
    return [claim(origin, "source_type", words, value, declared.points_to)]


def generation(origin: str, found: Generation) -> list[Claim]:
    """What a generator's record says: its settings, then its prompt."""
    points_to: PointsTo = "edited" if found.edited else "generated"
    summary = found.summary()
    words = f"holds {found.what}" + (f": {summary}" if summary else "")
    claims = [claim(origin, "generator", words, found.raw, points_to)]
    if prompt := one_line(found.prompt, 120):
        value = found.prompt
        if found.negative.strip():
            value += f"\nNegative prompt: {found.negative.strip()}"
        claims.append(claim(origin, "prompt", f'holds the prompt "{prompt}"', value, points_to))
    return claims


def time(origin: str, event: str, found: str, offset: str = "") -> list[Claim]:
    """When something happened to the picture.

    Args:
        origin: the block.
        event: "taken", "created" or "changed".
        found: a time as EXIF (2019:07:14 12:01:02), XMP or IPTC write it.
        offset: from UTC, where it is kept apart.
    """
    moment = one_line(found, 40)
    # Cameras with an unset clock write zeros or blanks.
    if not any(digit in moment for digit in "123456789"):
        return []
    if moment[4:5] == ":" and moment[7:8] == ":":
        moment = f"{moment[:4]}-{moment[5:7]}-{moment[8:]}"
    moment = f"{moment} {one_line(offset, 10)}".strip()
    return [claim(origin, "time", f"says that the picture was {event} on {moment}", moment)]


def camera(origin: str, make: str, model: str, lens: str, rest: str, value: str) -> list[Claim]:
    """Which camera a block names.

    Args:
        origin: the block.
        make, model, lens: as found.
        rest: what else to say of the camera's traces, or an empty string.
        value: the text as found.
    """
    name = camera_name(one_line(make, 60), one_line(model, 60))
    if not name:
        return []
    words = f"names the camera {name}"
    if lens := one_line(lens, 60):
        words += f" with the lens {lens}"
    return [claim(origin, "camera", f"{words} {rest}".rstrip(), value, "camera")]


def camera_name(make: str, model: str) -> str:
    """Make and model as people say them: "NIKON CORPORATION" and "NIKON D90" give "NIKON D90"."""
    if make and model and model.lower().split()[0] == make.lower().split()[0]:
        return model
    return f"{make} {model}".strip()
