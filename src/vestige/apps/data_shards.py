"""`vestige data shard` and `vestige data index-shards`: data sets as tar shards."""

from pathlib import Path
from typing import Annotated

import typer

from vestige.apps.data_report import UNREADABLE, checked, report
from vestige.apps.needs import needs
from vestige.errors import ConfigError


def shard_manifest(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Manifest, CSV or Parquet, of files, members or both.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the shards and their manifest.")],
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of a shard at most: 500MB, 1GB, 2GiB.")] = "1GB",
    seed: Annotated[int, typer.Option(min=0, help="By which the pictures of a split are mixed.")] = 0,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Keep the manifest's order within each split.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read pictures.")] = 2,
) -> None:
    """Write a data set as WebDataset shards, pictures bit by bit as they are, and OUT/manifest.parquet.

    The same input gives the same bytes. An interrupted run goes on after the last finished shard.
    """
    needs("yaml", "pyarrow")
    from vestige.data.shards_record import parse_size
    from vestige.data.shards_write import write_shards
    from vestige.progress import Progress

    written = write_shards(
        manifest,
        out,
        size=parse_size(size),
        seed=None if in_order else seed,
        workers=workers,
        progress=Progress(),
    )
    kept = f", {written.kept} of them from an earlier run" if written.kept else ""
    rows, total = (sum(getattr(one, what) for one in written.shards) for what in ("rows", "bytes"))
    print(f"{out}: {rows} pictures in {len(written.shards)} shards{kept}, {total} bytes")
    print(f"{written.manifest}: {rows} rows")


def index_webdataset(
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARDS...", help="Uncompressed tars, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The manifest, .csv or .parquet.")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=WHERE",
            help="Where samples tell a column of the manifest: label=cls, group=json:generator.name, "
            "category=txt, or split==train for the same text everywhere. Unnamed ones come from the key of "
            "their name in the member json, the label also from cls. Repeatable.",
        ),
    ] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD=LABEL", help="What a label stands for: 0 real, 1 generated. Repeatable."),
    ] = None,
    picture: Annotated[
        str, typer.Option(metavar="ENDING", help="The picture, where samples have several.")
    ] = "",
    name: Annotated[
        str, typer.Option(help="Name of the set; default that of the first shard.", show_default=False)
    ] = "",
    check: Annotated[
        str,
        typer.Option(
            metavar="full|header|none", help="Decode every picture, read headers only, or open no picture."
        ),
    ] = "full",
    no_hash: Annotated[bool, typer.Option("--no-hash", help="Leave the column sha256 empty.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Threads that read pictures.")] = 2,
) -> None:
    """Write a manifest of WebDataset shards made by anyone; the pictures stay in them.

    Samples that cannot be used are listed in FILE.problems.csv and get no row. Exit code: 0 done, 2 some
    sample could not be used (the rest is done).
    """
    needs("yaml", "pyarrow")
    from vestige.data.shards_index import Telling, index_shards
    from vestige.progress import Progress

    columns = dict(_pair(text, "--column", "COLUMN=WHERE") for text in column or ())
    words = dict(_pair(text, "--word", "WORD=LABEL") for text in word or ())
    for text, label in words.items():
        if label not in {"0", "1"}:
            raise ConfigError(f"--word {text}={label}: a word stands for 0 (real) or 1 (generated)")
    telling = Telling(columns, {text.lower(): int(label) for text, label in words.items()}, picture)
    indexed = index_shards(
        shards,
        out,
        telling,
        name=name,
        check=None if check == "none" else checked(check, "full, header or none"),
        hashes=not no_hash,
        workers=workers,
        track=Progress().track,
    )
    report(indexed, f"{indexed.looked} pictures read")
    print(f"{out}: {len(indexed.rows)} rows")
    if indexed.problems:
        print(f"{out.with_suffix('.problems.csv')}: {len(indexed.problems)} samples that cannot be used")
        raise typer.Exit(UNREADABLE)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ConfigError(f"{option} takes {form}, not {text!r}")
    return name, value
