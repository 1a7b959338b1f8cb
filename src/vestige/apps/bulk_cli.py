"""`vestige bulk` on the command line."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(str, Enum):
    """What runs the scoring."""

    LOCAL = "local"
    RAY = "ray"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(bulk)


def bulk(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Folders, pictures, globs, tar or WebDataset shards, Parquet files with pictures or paths, "
            "lists of paths (.txt, .lst, or .csv with a column path).",
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The table, such as out.parquet.")],
    model: Annotated[
        str, typer.Option(help="A shipped model's name or a model package's folder.", show_default="first")
    ] = "",
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which on a picture is called generated.")
    ] = None,
    fpr: Annotated[
        float | None,
        typer.Option(help="Use the model's threshold at this false positive rate: 0.01 or 0.05."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of a Parquet input that holds pictures or paths.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that score.", show_default="one per processor")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network in each process.")] = 1,
    engine: Annotated[
        EngineName, typer.Option(help="local: processes on this computer; ray: a Ray cluster.")
    ] = EngineName.LOCAL,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The cluster.", show_default="a local one for this run"),
    ] = None,
    actors: Annotated[
        str | None,
        typer.Option(metavar="MIN,MAX", help="Ray actors that score.", show_default="1 to all processors"),
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of each Ray actor, such as 0.25.")] = 0,
    parts: Annotated[
        bool, typer.Option("--parts", help="OUTPUT is a folder of part files, not put together.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run with this OUTPUT has.")
    ] = False,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, max=100_000, help="Larger files are refused.")
    ] = 64,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, max=100_000, help="Larger pictures are refused.")
    ] = 100,
    trust_anchors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM roots of those whose content credentials (C2PA) are trusted.",
            show_default="the file that VESTIGE_TRUST_ANCHORS names, else none",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Judge many pictures into one Parquet table (needs the extra `bulk`).

    Rows stand in the order of the inputs, each input once. Stopped or killed at any moment, the same command
    goes on where it was; what cannot be read gets a row with error_code and error.

    Exit code: 0 done, 2 some input could not be read (the rest is done), 3 nothing could be read.
    """
    from vestige.apps import bulk as command
    from vestige.bulk.run import BulkOptions
    from vestige.bulk.scorer import ScoreOptions
    from vestige.images import Limits
    from vestige.images.limits import PATIENT
    from vestige.inference.package import DEFAULT_MODEL
    from vestige.provenance.trust import VARIABLE

    limits = Limits(int(max_megabytes * 2**20), int(max_megapixels * 1_000_000), PATIENT.max_seconds)
    request = command.Request(
        score=ScoreOptions(
            model=model or DEFAULT_MODEL,
            fpr=fpr,
            threshold=threshold,
            limits=limits,
            # Told to all processes, on other computers, too.
            trust_anchors=str(trust_anchors) if trust_anchors else os.environ.get(VARIABLE) or None,
            threads=threads,
        ),
        output=BulkOptions(parts=parts, restart=restart),
        column=column,
        engine=engine.value,
        processes=processes,
        ray_address=ray_address,
        actors=_range(actors),
        gpus=gpus,
        quiet=quiet,
    )
    raise typer.Exit(command.run(inputs, output, request))


def _range(text: str | None) -> tuple[int, int] | None:
    from vestige.errors import ConfigError

    if text is None:
        return None
    try:
        least, most = (int(number) for number in text.split(",")) if "," in text else (int(text), int(text))
    except ValueError:
        least, most = 0, 0
    if not 1 <= least <= most:
        raise ConfigError(f"--actors: expected MIN,MAX such as 2,16, got {text!r}")
    return least, most
