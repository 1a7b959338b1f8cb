"""IPTC-IIM records (Photoshop resource 0x0404): a bounded reader of the application record."""

from collections.abc import Iterator

from vestige.provenance.text import decode

MAX_RECORDS = 1_000
MAX_VALUE_BYTES = 100_000

FIELDS = {
    40: "SpecialInstructions",
    55: "DateCreated",
    60: "TimeCreated",
    65: "OriginatingProgram",
    70: "ProgramVersion",
    80: "By-line",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    120: "Caption",
}
"""Datasets of record 2 that say something of a picture's making."""

CHARSETS = {b"\x1b%G": "utf-8", b"\x1b.A": "latin-1", b"\x1b-A": "latin-1"}
"""Character sets by the ISO 2022 escape sequence in dataset 1:90."""


def parse_iptc(block: bytes) -> dict[str, list[str]]:
    """Field name (a value of `FIELDS`) to its texts, in the order of the block; never raises."""
    charset: str | None = None
    values: dict[str, list[bytes]] = {}
    for record, dataset, data in records(block):
        if (record, dataset) == (1, 90):
            charset = CHARSETS.get(data[:3])
        elif record == 2 and dataset in FIELDS:
            values.setdefault(FIELDS[dataset], []).append(data)
    texts = {name: [record_text(data, charset) for data in found] for name, found in values.items()}
    return {name: kept for name, found in texts.items() if (kept := [text for text in found if text])}


def records(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Record number, dataset number and bytes of each dataset, at most `MAX_RECORDS`; never raises."""
    # Some writers keep the Photoshop wrapping around the records: the first marker starts them.
    position = block.find(b"\x1c")
    for _ in range(MAX_RECORDS):
        if position < 0 or position + 5 > len(block) or block[position] != 0x1C:
            return
        record, dataset = block[position + 1], block[position + 2]
        size = int.from_bytes(block[position + 3 : position + 5], "big")
        position += 5
        if size & 0x8000:  # extended dataset: the low bits say how many bytes hold the size
            width = size & 0x7FFF
            if width > 4 or position + width > len(block):
                return
            size = int.from_bytes(block[position : position + width], "big")
            position += width
        yield record, dataset, block[position : position + min(size, MAX_VALUE_BYTES)]
        position += size


def record_text(data: bytes, charset: str | None) -> str:
    """A dataset's bytes as text, in a character set of `CHARSETS` or, without one, guessed."""
    if charset == "latin-1":
        return data.decode("latin-1").strip("\0 ")
    return decode(data).strip("\0 ")
