"""`vestige data`: known benchmarks, what lies in a folder, manifests, shards, manipulated pictures."""

from pathlib import Path
from typing import Annotated

import typer

from vestige.apps.data_report import UNREADABLE, checked, console, report
from vestige.apps.data_shards import index_webdataset, shard_manifest
from vestige.apps.needs import needs

data_app = typer.Typer(
    name="data",
    help="Data sets: known layouts, what a folder holds, manifests, shards, manipulations (extra `train`).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ISSUES = 1

DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder, Parquet file or table.")]
As = Annotated[
    str, typer.Option("--as", metavar="NAME", help="Read it as this benchmark (see `vestige data list`).")
]
Name = Annotated[
    str, typer.Option(help="Name of the set; default the last part of PATH.", show_default=False)
]
Real = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Real pictures, for a set of generated ones only (Synthbuster)."),
]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Threads that read pictures.")]


@data_app.command("list")
def list_benchmarks(
    json: Annotated[
        bool, typer.Option("--json", help="Everything that is known, as one JSON array.")
    ] = False,
) -> None:
    """List the benchmarks whose layout is known."""
    needs("yaml")
    from vestige.data.catalogue import benchmarks

    if json:
        from json import dumps

        print(dumps([one.model_dump(mode="json") for one in benchmarks()], indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "title", "year", "groups", "licence", "how to get it"):
        table.add_column(column, overflow="fold")
    for one in benchmarks():
        access = f"{one.access.conditions} {one.access.url}".strip()
        year = str(one.paper.year) if one.paper else ""
        table.add_row(one.name, one.title, year, str(len(one.groups) or ""), one.licence, access)
    console().print(table)


@data_app.command("inspect")
def inspect_folder(
    path: DataPath,
    benchmark: As = "",
    name: Name = "",
    real: Real = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Headers read of each group and class; 0 reads all.")
    ] = 64,
    workers: Workers = 2,
) -> None:
    """Say what a folder holds: benchmark, pictures per group and class, formats, sizes. Writes nothing."""
    needs("yaml", "pyarrow")
    from vestige.data.index import inspect
    from vestige.progress import Progress

    indexed = inspect(
        path, benchmark or None, name=name, real=real, most=sample, workers=workers, track=Progress().track
    )
    report(indexed, f"formats and sizes from {indexed.looked} headers")


@data_app.command("index")
def index_folder(
    path: DataPath,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The manifest, .csv or .parquet.")],
    benchmark: As = "",
    name: Name = "",
    real: Real = None,
    check: Annotated[
        str, typer.Option(metavar="full|header", help="Decode every picture, or read headers only.")
    ] = "full",
    no_hash: Annotated[bool, typer.Option("--no-hash", help="Leave the column sha256 empty.")] = False,
    workers: Workers = 2,
) -> None:
    """Write a manifest of a data set; an interrupted run goes on where it was.

    Pictures that cannot be read are listed in FILE.problems.csv and get no row. Exit code: 0 done, 2 some
    picture could not be read (the rest is done).
    """
    needs("yaml", "pyarrow")
    from vestige.data.index import index
    from vestige.progress import Progress

    indexed = index(
        path,
        out,
        benchmark or None,
        name=name,
        real=real,
        check=checked(check),
        hashes=not no_hash,
        workers=workers,
        track=Progress().track,
    )
    resumed = f", {indexed.resumed} of them in an earlier run" if indexed.resumed else ""
    report(indexed, f"{indexed.looked} pictures read{resumed}")
    print(f"{out}: {len(indexed.rows)} rows")
    if indexed.problems:
        print(f"{out.with_suffix('.problems.csv')}: {len(indexed.problems)} pictures that cannot be read")
        raise typer.Exit(UNREADABLE)


@data_app.command("audit")
def audit_manifest(
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="Manifest, CSV or Parquet (vestige data index makes one)."),
    ],
    json: Annotated[bool, typer.Option("--json", help="The audit as JSON on stdout.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the audit as a Markdown page.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=100, help="Shortcuts are measured on at most about so many pictures.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, resamples and the sample.")] = 0,
    workers: Workers = 2,
) -> None:
    """Say what gives the classes of a data set away without a look at what makes a picture generated.

    Format, size, JPEG quality, metadata, colour and so on, each alone; duplicates, leakage between splits,
    composition. Exit code: 0 no issue, 1 at least one issue, 2 the data set cannot be read.
    """
    needs("sklearn", "pyarrow")
    from vestige.data.manifest import read_manifest
    from vestige.evaluation.audit import render_markdown, render_terminal, run_audit
    from vestige.progress import Progress

    found = run_audit(
        read_manifest(manifest),
        name=manifest.stem,
        seed=seed,
        limit=limit,
        workers=workers,
        progress=Progress().counter("reading pictures"),
    )
    if markdown is not None:
        markdown.write_text(render_markdown(found), encoding="utf-8")
    if json:
        print(found.model_dump_json(indent=2))
    else:
        render_terminal(found, console())
    if found.issues:
        raise typer.Exit(ISSUES)


@data_app.command("manipulate")
def manipulate_pictures(
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST[:SPLIT]", help="Manifest of untouched pictures; its split.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Pictures, masks, manifest.csv, index.html.")],
    options: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML: kinds, per_group, inpainters.",
            show_default="all kinds without weights",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Weights of the inpainters in --options.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    originals: Annotated[
        bool, typer.Option("--originals", help="Copy and list the untouched pictures, too.")
    ] = False,
    per_group: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pictures of each group of each class, for each kind.", show_default="as --options"
        ),
    ] = None,
) -> None:
    """Manipulate pictures by known rules; for every pixel the masks say whether it was changed or generated.

    An interrupted run goes on where it was. Exit code: 0 done, 2 something cannot be used or read.
    """
    needs("yaml", "pyarrow", "cv2")
    from vestige.apps import manipulate as command

    command.run(
        command.ManipulateOptions(manifest, out, options, weights, seed, originals, per_group), console()
    )


data_app.command("shard")(shard_manifest)
data_app.command("index-shards")(index_webdataset)
