"""A manifest of WebDataset shards: members of one key are one sample, and say what is known of its picture.

The key of a member is its name up to the first dot after the last slash; the rest is its ending. A sample
has one picture (`jpg`, `png`, ...) and members that tell of it (`json`, `cls`, `txt`, ...).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vestige.data.catalogue import Access, Benchmark, Table
from vestige.data.check import Check
from vestige.data.index import Indexed, Track, manifest_path, write_index
from vestige.data.layouts.found import Entry, Found
from vestige.data.layouts.words import label_of
from vestige.data.shards import SUFFIX, Place, is_file, members_of
from vestige.errors import ConfigError, DataError
from vestige.images.meant import ENDINGS

# What a sample may tell of its picture: attributes of an entry, by the manifest's columns.
TOLD = {
    "label": "label",
    "group": "group",
    "split": "split",
    "license": "licence",
    "source": "source",
    "category": "category",
    "kind": "kind",
    "picture": "picture",
    "compare_with": "compare_with",
    "manipulation": "manipulation",
    "sha256": "sha256",
}
# Not taken from a member json unasked: others keep hashes of the files from which they made their pictures.
ONLY_ASKED = {"sha256"}
MASKS = ("mask", "changed")
JSON, CLASS = "json", "cls"
LONGEST = 2**24  # bytes of a member that tells of a picture

_KEYED = re.compile(r"((?:.*/)?[^/.]+)\.([^/]*)", re.DOTALL)


@dataclass(frozen=True)
class Telling:
    """Where samples tell what is known of their pictures.

    Attributes:
        columns: a manifest's column -> "json:KEY" (dots lead into nested objects), the ending of a member
            whose text it is ("cls", "txt"), or "=TEXT" for the same text everywhere. What is not named is
            taken from the key of the same name in the member `json`, sha256 excepted, and the label also
            from a member `cls`. For `mask` and `changed` the ending of the member that is the mask.
        words: text of a label, in lower case -> 0 real, 1 generated; before the words that are known.
        picture: ending of the picture where samples have several; "" the only one.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=dict)
    picture: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.columns) - {*TOLD, *MASKS}
        if unknown:
            raise ConfigError(f"no column is called {sorted(unknown)[0]!r}; there are {', '.join(TOLD)}")
        for column, where in self.columns.items():
            if not where or where == f"{JSON}:":
                raise ConfigError(f"{column}: say json:KEY, the ending of a member, or =TEXT")
        for word, label in self.words.items():
            if label not in (0, 1) or word != word.lower():
                raise ConfigError(f"a word stands for 0 (real) or 1 (generated), got {word!r} for {label}")


# How `vestige.data.shards_write` writes.
OWN = Telling({"sha256": "json:sha256"})


class _UnusableError(Exception):
    """Why a sample has no row."""


@dataclass
class _Sample:
    """Members of one key: places of all, by their endings, and what the telling ones hold."""

    places: dict[str, tuple[str, Place]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)


@dataclass
class ShardRead:
    """What one shard holds.

    Attributes:
        entries: in the order in which their first members lie.
        problems: (SHARD.tar/KEY, reason) of samples without a row.
        stray: members that belong to no sample: SHARD.tar/MEMBER.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)


def index_shards(
    shards: Sequence[Path],
    out: str | Path,
    telling: Telling,
    *,
    name: str = "",
    check: Check | None = "full",
    hashes: bool = True,
    workers: int = 2,
    track: Callable[[Sequence[Any], str], Iterable[Any]] = lambda items, _: items,
) -> Indexed:
    """Write the manifest of WebDataset shards; pictures stay where they are.

    Each row says at which byte its picture begins, so that nobody has to read the headers again. Samples
    that cannot be used get no row; they are listed in `OUT.problems.csv`. Headers and telling members are
    read anew each time; looking at the pictures goes on where a killed call was.

    Args:
        shards: uncompressed tars, and folders whose tars are all taken.
        out: CSV or Parquet; paths in it are relative to its folder.
        name: of the set; "" the name of the first shard.
        check, hashes, workers: as for `vestige.data.index.index`; a check of None opens no picture.
        track: shows progress.

    Raises:
        DataError: no shard, a shard cannot be read, or no usable sample; `out` cannot be written.
    """
    out = manifest_path(out)
    files = shard_files(shards)
    found = Found(_BENCHMARK, name or files[0].stem, str(files[0].parent), [])
    problems: list[tuple[str, str]] = []
    for file in track(files, "reading shards"):
        read = read_samples(file, telling)
        found.entries += read.entries
        found.stray += read.stray
        problems += read.problems
    shown = str(shards[0]) if len(shards) == 1 else f"{len(files)} shards"
    looking: Track = track
    return write_index(
        found, out, shown, check=check, hashes=hashes, workers=workers, track=looking, problems=problems
    )


def shard_files(shards: Sequence[Path]) -> list[Path]:
    """Absolute paths of shards; of folders all that end in .tar, in the order of their names.

    Raises:
        DataError: there is none, one does not exist, is compressed or given twice.
    """
    found: list[Path] = []
    for path in shards:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() == SUFFIX)
            if not inside:
                raise DataError(f"{path}: no tar shards in this folder")
            found += inside
        elif not path.exists():
            raise DataError(f"{path}: no such file")
        elif path.suffix.lower() != SUFFIX:
            raise DataError(
                f"{path}: a shard is an uncompressed tar whose name ends in .tar; members of compressed ones "
                "cannot be read one by one, uncompress it first"
            )
        else:
            found.append(path)
    whole = [file.resolve() for file in found]
    for number, file in enumerate(whole):
        if file in whole[:number]:
            raise DataError(f"{file}: given twice")
    return whole


def split_member(name: str) -> tuple[str, str] | None:
    """Key and ending of a member, as WebDataset has them; None for a name without either.

    "a.b/c.seg.png" has the key "a.b/c" and the ending "seg.png".
    """
    found = _KEYED.fullmatch(name)
    return (found[1], found[2]) if found and found[2] else None


def read_samples(shard: Path, telling: Telling) -> ShardRead:
    """Entries of one shard, without a look at the pictures.

    Raises:
        DataError: the shard cannot be read.
    """
    result = ShardRead()
    samples: dict[str, _Sample] = {}
    wanted = _telling_endings(telling)
    for info, read in members_of(shard):
        keyed = split_member(info.name)
        if info.isdir():
            continue
        if keyed is None or not is_file(info):
            result.stray.append(f"{shard}/{info.name}")
            continue
        key, ending = keyed[0], keyed[1].lower()
        sample = samples.setdefault(key, _Sample())
        if ending in sample.places:
            sample.twice.add(ending)
        sample.places[ending] = (info.name, Place(info.offset_data, info.size))
        if ending in wanted and info.size <= LONGEST:
            sample.texts[ending] = read()
    for key, sample in samples.items():
        try:
            result.entries.append(_entry(shard, sample, telling))
        except _UnusableError as problem:
            result.problems.append((f"{shard}/{key}", str(problem)))
    return result


def _telling_endings(telling: Telling) -> set[str]:
    endings = {JSON, CLASS}
    endings |= {where.partition(":")[0].lower() for where in telling.columns.values() if where[0] != "="}
    return endings


def _entry(shard: Path, sample: _Sample, telling: Telling) -> Entry:
    if sample.twice:
        raise _UnusableError(f"has its member {sorted(sample.twice)[0]} twice")
    ending = _picture(sample, telling)
    name, place = sample.places[ending]
    told = {TOLD[column]: _told(sample, column, telling) for column in TOLD}
    label = _label(told.pop("label"), telling)
    masks = {}
    for what in MASKS:
        member = telling.columns.get(what, f"{what}.png").lower()
        if member in sample.places:
            masks[what] = f"{shard}/{_text(sample.places[member][0])}"
    if ";" in told["group"]:
        raise _UnusableError(f"its group is {told['group']!r}: names of groups cannot hold a semicolon")
    told["group"] = told["group"] or "unknown"
    return Entry(file=str(shard), member=_text(name), label=label, place=place, **masks, **told)


def _picture(sample: _Sample, telling: Telling) -> str:
    if telling.picture:
        ending = telling.picture.lower().removeprefix(".")
        if ending not in sample.places:
            raise _UnusableError(f"has no member {ending}")
        return ending
    found = [ending for ending in sample.places if f".{ending}" in ENDINGS]
    if len(found) == 1:
        return found[0]
    if not found:
        raise _UnusableError(f"has no picture, only {', '.join(sorted(sample.places))}")
    raise _UnusableError(f"has several pictures ({', '.join(sorted(found))}); say which ending is meant")


def _text(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise _UnusableError("the member's name is not Unicode text") from error
    if name != name.strip() or not name.isprintable():
        raise _UnusableError(f"the member's name {name!r} cannot stand in a manifest")
    return name


def _told(sample: _Sample, column: str, telling: Telling) -> str:
    where = telling.columns.get(column)
    if where is None:
        if column not in ONLY_ASKED and JSON in sample.places:
            value = _json(sample).get(column)
            if value is not None:
                return _plain(value, f"json:{column}")
        return _member(sample, CLASS) if column == "label" and CLASS in sample.places else ""
    if where.startswith("="):
        return where[1:]
    ending, colon, key = where.partition(":")
    if not colon:
        return _member(sample, ending.lower())
    value = _json(sample, ending.lower())
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return _plain(value, where)


def _member(sample: _Sample, ending: str) -> str:
    if ending not in sample.places:
        raise _UnusableError(f"has no member {ending}")
    if ending not in sample.texts:
        raise _UnusableError(f"its member {ending} is longer than {LONGEST} bytes")
    try:
        return sample.texts[ending].decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _UnusableError(f"its member {ending} is not text in UTF-8") from error


def _json(sample: _Sample, ending: str = JSON) -> Any:
    try:
        value = json.loads(_member(sample, ending))
    except (ValueError, RecursionError) as error:
        raise _UnusableError(f"its member {ending} cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise _UnusableError(f"its member {ending} holds no JSON object")
    return value


def _plain(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _UnusableError(f"{where} is no text and no number")


def _label(text: str, telling: Telling) -> int:
    word = text.strip().lower()
    if word in telling.words:
        return telling.words[word]
    if word in {"0", "1"}:
        return int(word)
    known = label_of(word)
    if known is None:
        raise _UnusableError(
            "nothing tells its label"
            if not word
            else f"its label {text!r} is neither 0 nor 1 nor a known word; say what it stands for"
        )
    return known


_BENCHMARK = Benchmark(
    name="webdataset",
    title="WebDataset shards",
    layout=Table(kind="table"),
    licence="",
    access=Access(conditions=""),
    general=True,
)
