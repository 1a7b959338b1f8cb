"""Small applications and pictures for the tests of the server."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from conftest import SIZE, brightness_graph, card_of
from extractor_samples import write_extractor
from vestige.apps.server.app import create_app
from vestige.apps.server.settings import ServerSettings

PNG = {"Content-Type": "image/png"}


def write_package(folder: Path, *, with_map: bool = False, **changes: Any) -> Path:
    """A package with the brightness graph."""
    graph = brightness_graph(SIZE, with_map)
    if with_map:
        changes.setdefault("outputs", {"logit": "logit", "map": "map"})
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "card.json").write_text(json.dumps(card_of(graph, **changes)))
    return folder


def tower_package(folder: Path) -> Path:
    """A package whose tower is on no computer."""
    tower = {"hub": "nobody/nothing", "sha256": "1" * 64, "bytes": 1000}
    files = card_of(brightness_graph())["files"] | {"tower.json": "2" * 64}
    return write_package(folder, name="towered", tower=tower, files=files)


def settings_of(folder: Path, **changes: Any) -> ServerSettings:
    """Settings with the brightness model and a plain extractor, made in a folder."""
    if not (folder / "model").exists():
        write_package(folder / "model")
        write_extractor(folder / "extractor")
    given: dict[str, Any] = {
        "models": (str(folder / "model"),),
        "extractor": str(folder / "extractor"),
        "threads": 1,
        "decoders": 2,
    }
    return ServerSettings(**{**given, **changes})


@contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[TestClient]:
    """A client of an application in this process; errors of ours are not hidden behind a 500."""
    with TestClient(create_app(settings_of(folder, **changes)), follow_redirects=False) as client:
        yield client


@asynccontextmanager
async def calling(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client for several requests at a time."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        yield client


def picture(level: int = 230, size: tuple[int, int] = (96, 80), kind: str = "PNG", seed: int = 0) -> bytes:
    """A file of one grey level with a little noise."""
    noise = np.random.default_rng(seed).integers(-4, 5, (size[1], size[0], 3))
    out = BytesIO()
    Image.fromarray(np.clip(noise + level, 0, 255).astype(np.uint8)).save(out, kind)
    return out.getvalue()


def form(*parts: tuple[str, bytes], boundary: str = "xyz") -> dict[str, Any]:
    """Content and headers of a form, byte for byte; parts: Content-Disposition and content."""
    body = b""
    for disposition, content in parts:
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return {"content": body + f"--{boundary}--\r\n".encode(), "headers": headers}


def named(name: str) -> str:
    """The header of a part with a picture."""
    return f'form-data; name="files"; filename="{name}"'
