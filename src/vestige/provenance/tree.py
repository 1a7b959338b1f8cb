"""All metadata of a file as a tree of names and values, for people who want to see everything.

What is written there is shown and not believed: `vestige.provenance.claims` says what it would mean. Readers
of the blocks (`tree_exif`, `tree_xmp`, ...) are bounded and never raise; what they leave out, they say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vestige.images.picture import RawMetadata
from vestige.provenance.iptc import CHARSETS, record_text, records
from vestige.provenance.text import clean
from vestige.provenance.tree_boxes import icc_nodes, jumbf_nodes
from vestige.provenance.tree_exif import exif_nodes
from vestige.provenance.tree_file import Embedded
from vestige.provenance.tree_node import Node
from vestige.provenance.tree_xmp import xmp_nodes

MAX_NODES = 2_000
MAX_DEPTH = 12
MAX_CHARACTERS = 4_000
"""Of one value."""
MAX_NAME = 120

_XMP_IN_PNG = "XML:com.adobe.xmp"
_CHARSET = (1, 90)
# Datasets of IPTC-IIM 4.2 by record and number.
_IPTC_NAMES: Mapping[tuple[int, int], str] = {
    (1, 0): "EnvelopeRecordVersion", (1, 5): "Destination", (1, 20): "FileFormat", (1, 22): "FileVersion",
    (1, 30): "ServiceIdentifier", (1, 40): "EnvelopeNumber", (1, 50): "ProductID",
    (1, 60): "EnvelopePriority", (1, 70): "DateSent", (1, 80): "TimeSent", (1, 90): "CodedCharacterSet",
    (1, 100): "UniqueObjectName",
    (2, 0): "RecordVersion", (2, 3): "ObjectType", (2, 4): "ObjectAttribute", (2, 5): "ObjectName",
    (2, 7): "EditStatus", (2, 10): "Urgency", (2, 12): "SubjectReference", (2, 15): "Category",
    (2, 20): "SupplementalCategory", (2, 22): "FixtureIdentifier", (2, 25): "Keywords",
    (2, 26): "LocationCode", (2, 27): "LocationName", (2, 30): "ReleaseDate", (2, 35): "ReleaseTime",
    (2, 37): "ExpirationDate", (2, 38): "ExpirationTime", (2, 40): "SpecialInstructions",
    (2, 42): "ActionAdvised", (2, 45): "ReferenceService", (2, 47): "ReferenceDate",
    (2, 50): "ReferenceNumber", (2, 55): "DateCreated", (2, 60): "TimeCreated",
    (2, 62): "DigitalCreationDate", (2, 63): "DigitalCreationTime", (2, 65): "OriginatingProgram",
    (2, 70): "ProgramVersion", (2, 75): "ObjectCycle", (2, 80): "By-line", (2, 85): "By-lineTitle",
    (2, 90): "City", (2, 92): "Sublocation", (2, 95): "Province-State", (2, 100): "CountryCode",
    (2, 101): "Country", (2, 103): "OriginalTransmissionReference", (2, 105): "Headline", (2, 110): "Credit",
    (2, 115): "Source", (2, 116): "CopyrightNotice", (2, 118): "Contact", (2, 120): "Caption",
    (2, 122): "Writer-Editor", (2, 130): "ImageType", (2, 131): "ImageOrientation",
    (2, 135): "LanguageIdentifier",
}  # fmt: skip


def metadata_tree(metadata: RawMetadata, embedded: Embedded | None = None) -> list[Node]:
    """Everything that the metadata blocks of a file say, block by block.

    Args:
        metadata: raw blocks as found by decoding, of any content.
        embedded: colour profile and C2PA manifest store, from `tree_file.read_embedded`.

    Returns:
        One node per block that is there, at most `MAX_NODES` in all, `MAX_DEPTH` deep, with texts free of
        controls and invisible characters. What was cut is said in place. Never raises.
    """
    text = dict(metadata.text)
    packet = text.pop(_XMP_IN_PNG, "")
    xmp = metadata.xmp or packet.encode("utf-8", "replace")
    embedded = embedded or Embedded()
    found = [
        ("EXIF", exif_nodes(metadata.exif) if metadata.exif else []),
        ("XMP", xmp_nodes(xmp) if xmp else []),
        ("IPTC", list(_iptc(metadata.iptc)) if metadata.iptc else []),
        ("Text", [Node(key, value) for key, value in text.items()]),
        ("ICC colour profile", icc_nodes(embedded.icc) if embedded.icc else []),
        ("C2PA manifest store", jumbf_nodes(embedded.c2pa) if embedded.c2pa else []),
    ]
    return _bounded([Node(name, "", tuple(children)) for name, children in found if children])


def _iptc(block: bytes) -> Iterator[Node]:
    charset: str | None = None
    empty = True
    for record, dataset, data in records(block):
        empty = False
        if (record, dataset) == _CHARSET:
            charset = CHARSETS.get(data[:3])
        number = f"{record}:{dataset}"
        name = _IPTC_NAMES.get((record, dataset))
        if dataset == 0 and len(data) == 2:
            value = str(int.from_bytes(data, "big"))
        else:
            value = repr(data)[2:-1] if (record, dataset) == _CHARSET else record_text(data, charset)
        yield Node(f"{name} ({number})" if name else number, value)
    if empty:
        yield Node("(unread)", f"{len(block)} bytes that are no IPTC records")


def _bounded(nodes: Sequence[Node]) -> list[Node]:
    """The same nodes within the limits of this module; each block gets what the blocks before it left."""
    room = [MAX_NODES]

    def cut(siblings: Sequence[Node], depth: int) -> tuple[Node, ...]:
        kept: list[Node] = []
        for index, node in enumerate(siblings):
            if room[0] <= 0:
                kept.append(Node("…", f"{len(siblings) - index} more entries left out: too many in all"))
                break
            room[0] -= 1
            below: tuple[Node, ...] = ()
            if node.children and depth >= MAX_DEPTH:
                below = (Node("…", f"{len(node.children)} entries left out: too deep"),)
            elif node.children:
                below = cut(node.children, depth + 1)
            kept.append(replace(node, name=_short(node.name, MAX_NAME), value=_value(node), children=below))
        return tuple(kept)

    return list(cut(nodes, 1))


def _short(text: str, limit: int) -> str:
    return clean(text, limit) or "(no name)"


def _value(node: Node) -> str:
    if len(node.value) <= MAX_CHARACTERS:
        return clean(node.value, MAX_CHARACTERS)
    return f"{clean(node.value[:MAX_CHARACTERS], MAX_CHARACTERS)} [cut: {len(node.value)} characters in all]"
