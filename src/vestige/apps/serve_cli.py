"""`vestige serve` on the command line."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(serve)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A shipped model's name or a model package's folder; repeatable, the first is the default.",
            show_default="first",
        ),
    ] = None,
    extractor: Annotated[
        str,
        typer.Option(help="Extractor for /v1/signature: a name or a folder.", show_default="the shipped one"),
    ] = "",
    trust_anchors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM roots of those whose content credentials (C2PA) are trusted."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with the token that clients must send; or set VESTIGE_TOKEN."
        ),
    ] = None,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Allow ?url= to fetch pictures from this host (HOST or HOST:PORT); repeatable.",
        ),
    ] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Larger pictures are refused.")] = 64,
    max_request_megabytes: Annotated[
        float, typer.Option(min=0.001, help="Longer requests are refused.")
    ] = 128,
    max_held_megabytes: Annotated[
        float, typer.Option(min=0.001, help="Most memory for uploads, of all requests together.")
    ] = 512,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Larger pictures are refused.")] = 50,
    max_signature_megapixels: Annotated[
        float, typer.Option(min=0.001, help="No signature of larger pictures.")
    ] = 12,
    max_files: Annotated[int, typer.Option(min=1, help="Most pictures in one request.")] = 16,
    concurrent: Annotated[int, typer.Option(min=1, help="Requests worked on at a time.")] = 8,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait; more are refused.")] = 32,
    body_seconds: Annotated[float, typer.Option(min=0.001, help="Time for a body to arrive.")] = 30,
    request_seconds: Annotated[float, typer.Option(min=0.001, help="Time from there to the answer.")] = 60,
    fetch_seconds: Annotated[float, typer.Option(min=0.001, help="Time for fetching a URL.")] = 10,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="After SIGTERM, answer new requests with 503 so long, then close.")
    ] = 0,
    decoders: Annotated[int | None, typer.Option(min=1, help="Threads that decode.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each network.")] = None,
) -> None:
    """Judge pictures over HTTP, with a page for the browser (needs the extra `serve`).

    Uploads are judged in memory: they are not kept, and neither they nor their names are logged. Anybody who
    reaches the address may ask unless there is a token; for more than this computer, put a proxy with TLS
    before it.
    """
    import os

    from vestige.errors import ConfigError

    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(f"vestige serve needs {', '.join(missing)}: pip install 'vestige[serve]'")
    from vestige.apps.server.app import create_app
    from vestige.apps.server.running import LOCAL, run
    from vestige.apps.server.settings import MIB, ServerSettings, read_token
    from vestige.inference.package import DEFAULT_MODEL

    settings = ServerSettings(
        models=tuple(model or [DEFAULT_MODEL]),
        extractor=extractor or None,
        trust_anchors=trust_anchors,
        token=read_token(token_file) if token_file is not None else os.environ.get("VESTIGE_TOKEN") or None,
        max_picture_bytes=int(max_megabytes * MIB),
        max_request_bytes=int(max_request_megabytes * MIB),
        max_held_bytes=int(max_held_megabytes * MIB),
        max_pixels=int(max_megapixels * 1_000_000),
        max_signature_pixels=int(max_signature_megapixels * 1_000_000),
        max_files=max_files,
        concurrent=concurrent,
        queue=queue,
        body_seconds=body_seconds,
        request_seconds=request_seconds,
        drain_seconds=drain_seconds,
        decoders=decoders,
        threads=threads,
        allow_urls=tuple(allow_url or ()),
        fetch_seconds=fetch_seconds,
    )
    application = create_app(settings)
    warnings: list[str] = application.state.models.warnings()
    if host not in LOCAL and settings.token is None:
        warnings.append(
            f"Anybody who reaches {host} may send pictures to this server: set VESTIGE_TOKEN or --token-file."
        )
    for warning in warnings:
        typer.echo(f"vestige: warning: {warning}", err=True)
    run(application, settings, host, port)
