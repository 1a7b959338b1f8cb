"""Labels of a C2PA manifest store and the description of a colour profile; bounded, and never raises."""

import struct
from collections.abc import Iterator

from vestige.provenance.text import decode
from vestige.provenance.tree_node import Node, binary

MAX_BOXES = 1_000
MAX_DEPTH = 10
MAX_TAGS = 100
MAX_TEXT = 1_000

_CLASSES = {
    b"scnr": "input device", b"mntr": "display", b"prtr": "output device", b"link": "device link",
    b"spac": "colour space conversion", b"abst": "abstract", b"nmcl": "named colours",
}  # fmt: skip
_TEXT_TAGS = {
    b"desc": "Description", b"cprt": "Copyright", b"dmnd": "Device manufacturer", b"dmdd": "Device model",
    b"vued": "Viewing conditions",
}  # fmt: skip
_CONTENTS = {b"cbor": "CBOR", b"json": "JSON", b"bfdb": "embedded file, kind", b"bidb": "embedded file"}


def jumbf_nodes(store: bytes) -> list[Node]:
    """Boxes of a JUMBF (ISO/IEC 19566-5) store by their labels; contents are named and not unpacked."""
    room = [MAX_BOXES]
    found = list(_boxes(store, 1, room))
    return found or [Node("(unread)", f"no boxes: it begins with {binary(store)}")]


def _boxes(data: bytes, depth: int, room: list[int]) -> Iterator[Node]:
    at = 0
    while at + 8 <= len(data):
        if room[0] <= 0:
            yield Node("…", f"boxes left out after the first {MAX_BOXES}")
            return
        room[0] -= 1
        length, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and start + 8 <= len(data):
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + length if length else len(data)
        if end < start:
            yield Node("(damaged)", "a box that is shorter than its head")
            return
        body = data[start:end]
        cut = ", cut short" if end > len(data) else ""
        if kind == b"jumb":
            label, rest = _described(body)
            if depth >= MAX_DEPTH:
                yield Node(label, "boxes within are left out: too deep")
            else:
                yield Node(label, cut.lstrip(", "), tuple(_boxes(rest, depth + 1, room)))
        else:
            words = _CONTENTS.get(kind) or kind.decode("latin-1")
            yield Node(words, f"{end - start:,} bytes{cut}")
        at = end


def _described(body: bytes) -> tuple[str, bytes]:
    """The label of a superbox (its first box is a description) and what follows the description."""
    if len(body) < 25 or body[4:8] != b"jumd":
        return "(no label)", body
    (length,) = struct.unpack_from(">I", body)
    description = body[8 : max(length, 8)]
    rest = body[max(length, 8) :]
    if not description[16] & 2:  # the toggle that says that there is a label
        return "(no label)", rest
    return decode(description[17 : 17 + MAX_TEXT].split(b"\0")[0]) or "(no label)", rest


def icc_nodes(profile: bytes) -> list[Node]:
    """What an ICC profile says of itself (ICC.1): head and texts; its curves are named and not shown."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return [Node("(unread)", f"no colour profile: it begins with {binary(profile)}")]
    version = f"{profile[8]}.{profile[9] >> 4}.{profile[9] & 15}"
    year, month, day, hour, minute, second = struct.unpack_from(">6H", profile, 24)
    head = [
        Node("Version", version),
        Node("Class", _CLASSES.get(profile[12:16], decode(profile[12:16]))),
        Node("Colour space", decode(profile[16:20]).strip()),
        Node("Connection space", decode(profile[20:24]).strip()),
        Node("Date", f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
        Node("Creator", decode(profile[80:84]).strip("\0 ")),
        Node("Length", f"{len(profile):,} bytes"),
    ]
    return [*(node for node in head if node.value), *_icc_tags(profile)]


def _icc_tags(profile: bytes) -> Iterator[Node]:
    (count,) = struct.unpack_from(">I", profile, 128)
    others = []
    for index in range(min(count, MAX_TAGS)):
        at = 132 + 12 * index
        if at + 12 > len(profile):
            yield Node("(damaged)", "the profile ends within its list of tags")
            break
        tag, offset, length = struct.unpack_from(">4sII", profile, at)
        data = profile[offset : offset + min(length, 64_000)]
        if tag in _TEXT_TAGS:
            yield Node(_TEXT_TAGS[tag], _icc_text(data) or binary(data))
        else:
            others.append(decode(tag).strip())
    if others:
        yield Node("Other tags", ", ".join(others))
    if count > MAX_TAGS:
        yield Node("…", f"{count - MAX_TAGS} more tags left out")


def _icc_text(data: bytes) -> str:
    """The text of a tag of type text, textDescription or multiLocalizedUnicode (its first language)."""
    kind = data[:4]
    if kind == b"text":
        return decode(data[8 : 8 + MAX_TEXT]).strip("\0 ")
    if kind == b"desc" and len(data) >= 12:
        length = int.from_bytes(data[8:12], "big")
        return decode(data[12 : 12 + min(length, MAX_TEXT)]).strip("\0 ")
    if kind == b"mluc" and len(data) >= 28:
        length, offset = struct.unpack_from(">II", data, 20)
        return data[offset : offset + min(length, 2 * MAX_TEXT)].decode("utf-16-be", "replace").strip("\0 ")
    return ""
