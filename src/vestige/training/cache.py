"""What the frozen part of a network says of every training view: computed once, resumable, kept on disk."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np

from vestige.data.labelled import Labelled
from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.features import (
    WORKERS,
    Bucket,
    Pixels,
    Request,
    compute,
    gather,
    key_of,
    sources_of,
)
from vestige.training.recipe import Recipe
from vestige.training.views import Made, View, made_of, read_facts, view_pixels

__all__ = ["Bucket", "build_cache", "facts_of"]

Shown = tuple[int, bool, int | None]  # what of a picture a view shows, whatever it went through

SHARD = 256  # views computed at once: what a kill costs at most


def build_cache(
    recipe: Recipe,
    rows: list[Row],
    views: list[View],
    made: Mapping[int, Made],
    network: Network,
    folder: Path,
    progress: Progress,
    labelled: Sequence[Labelled] = (),
) -> list[Bucket]:
    """Features of all views, by side of the view. What `folder` holds, from whatever run, is only read.

    Args:
        made: what the views that count as generated are made of, by row (see `view_pixels`).
        folder: of the stores (see `vestige.training.feature_store`).
        labelled: manipulated pictures, as the views count them.

    Raises:
        DataError: a picture cannot be read.
    """
    data = recipe.data
    # Not how many pictures and views there are: a larger run finds what a smaller one computed.
    making = {"seed": recipe.seed, "patch": data.patch, "chain": data.chain.model_dump(mode="json")}
    name = f"{recipe.method} {json.dumps(recipe.model, sort_keys=True, default=str)}"
    sources = sources_of(network, name, making, folder, data.precision, teachers=True)
    keys = _keys(rows, views, made, progress, labelled)
    missing = [
        number for number, key in enumerate(keys) if any(key not in source.store for source in sources)
    ]

    def request(members: list[int]) -> Request:
        def cut(positions: Sequence[int]) -> list[Pixels]:
            wanted = [views[members[position]] for position in positions]
            return [pixels[None] for pixels in view_pixels(wanted, rows, data, recipe.seed, made, labelled)]

        return Request([keys[number] for number in members], cut)

    shards = [
        [
            request(list(members))
            for _, members in groupby(missing[start : start + SHARD], lambda number: views[number].row)
        ]
        for start in range(0, len(missing), SHARD)
    ]
    compute(sources, shards, data.precision, progress)
    return gather(sources, keys)


def facts_of(rows: list[Row], progress: Progress) -> list[Bucket]:
    """What is known of the files, one view per row; quick enough not to be kept on disk.

    Raises:
        DataError: a picture cannot be read.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        chunks = [rows[start : start + SHARD] for start in range(0, len(rows), SHARD)]
        found = [
            facts
            for chunk in progress.track(chunks, "reading facts")
            for facts in pool.map(read_facts, chunk)
        ]
    return [Bucket(np.arange(len(rows)), [np.stack(found).astype(np.float16)])]


def _keys(
    rows: list[Row],
    views: list[View],
    made: Mapping[int, Made],
    progress: Progress,
    labelled: Sequence[Labelled] = (),
) -> list[bytes]:
    """What the stores call each view.

    By the bytes that are decoded, so that it does not matter where they lie or, for a reconstruction or a
    manipulated picture, what made it; by what imprints them; and by the name and the draw, which decide what
    the chain does.
    """
    wanted = list({_shown(view): view for view in views}.values())

    def hash_of(view: View) -> str:
        row, how = rows[view.row], made_of(view, made, labelled)
        if isinstance(how, Path):
            return _sha256(how)
        original = row.sha256.lower() or _sha256(row.content())
        return original if how is None else f"{original} {how.key}"

    hashes: dict[Shown, str] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        chunks = [wanted[start : start + SHARD] for start in range(0, len(wanted), SHARD)]
        for chunk in progress.track(chunks, "looking up frozen features"):
            hashes.update(zip(map(_shown, chunk), pool.map(hash_of, chunk), strict=True))
    return [key_of(hashes[_shown(view)], rows[view.row].name, view.draw) for view in views]


def _shown(view: View) -> Shown:
    return view.row, view.reconstructed, view.manipulated


def _sha256(content: Path | bytes) -> str:
    try:
        return hashlib.sha256(content.read_bytes() if isinstance(content, Path) else content).hexdigest()
    except OSError as error:
        raise DataError(f"{content!s}: cannot be read ({error.strerror})") from error
