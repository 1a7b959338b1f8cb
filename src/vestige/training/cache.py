"""What the frozen part of a network says of every training view: computed once, resumable, kept on disk."""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vestige.data.manifest import Row
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.recipe import Recipe
from vestige.training.views import View, read_facts, view_pixels

SHARD = 256  # views per file: what a kill costs at most
BATCH = 16
WORKERS = 2

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Bucket:
    """Views whose features have one shape.

    Attributes:
        views: int64 [N], indices into the plan.
        features: float16 arrays with N rows each, as the network's `frozen` returned them.
    """

    views: npt.NDArray[np.int64]
    features: list[npt.NDArray[np.float16]]


def build_cache(
    recipe: Recipe,
    rows: list[Row],
    views: list[View],
    reconstructions: dict[int, Path],
    network: Network,
    folder: Path,
    progress: Progress,
) -> list[Bucket]:
    """Features of all views, grouped by shape. Shards that exist in `folder` are not computed again.

    Raises:
        DataError: a picture cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = {start: folder / f"{start:08d}.npz" for start in range(0, len(views), SHARD)}
    missing = [start for start, path in shards.items() if not path.exists()]
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in progress.track(missing, "computing frozen features"):
            pictures = [
                list(part) for _, part in groupby(views[start : start + SHARD], lambda view: view.row)
            ]
            cut = pool.map(
                lambda part: view_pixels(part, rows, recipe.data, recipe.seed, reconstructions), pictures
            )
            patches = [patch for part in cut for patch in part]
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.data.precision == "bfloat16"):
                _write(shards[start], _features(network, patches, start))
    return _gather(list(shards.values()))


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


def _features(network: Network, patches: list[npt.NDArray[np.uint8]], start: int) -> dict[str, Array]:
    """Arrays SIDE.views (indices into the plan) and SIDE.0, SIDE.1, ... (features) by side of the patch."""
    sides: dict[int, list[int]] = defaultdict(list)
    for index, patch in enumerate(patches):
        sides[len(patch)].append(index)
    arrays: dict[str, Array] = {}
    for side, members in sides.items():
        parts = []
        for first in range(0, len(members), BATCH):
            batch = torch.from_numpy(np.stack([patches[index] for index in members[first : first + BATCH]]))
            with torch.inference_mode():
                # [B, H, W, 3] seen as [B, 3, H, W] is channels last already.
                parts.append(network.frozen(batch.permute(0, 3, 1, 2).float() / 255))
        arrays[f"{side}.views"] = np.array(members, dtype=np.int64) + start
        for position, tensors in enumerate(zip(*parts, strict=True)):
            arrays[f"{side}.{position}"] = torch.cat(tensors).float().numpy().astype(np.float16)
    return arrays


def _write(path: Path, arrays: dict[str, Array]) -> None:
    # Written under another name first: a kill must not leave half a shard that a resumed run would use.
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def _gather(shards: list[Path]) -> list[Bucket]:
    # Counted first, then filled in: features of a large set must not be in memory twice.
    total: Counter[str] = Counter()
    for path in shards:
        with np.load(path) as shard:
            total.update({key: len(shard[key]) for key in shard.files if key.endswith(".views")})
    whole: dict[str, Array] = {}
    filled: Counter[str] = Counter()
    for path in shards:
        with np.load(path) as shard:
            for key in shard.files:
                part, side = shard[key], key.split(".")[0]
                if key not in whole:
                    whole[key] = np.empty((total[f"{side}.views"], *part.shape[1:]), part.dtype)
                whole[key][filled[key] : filled[key] + len(part)] = part
                filled[key] += len(part)
    buckets = []
    for side in sorted(int(key.split(".")[0]) for key in total):
        names = sorted(
            (key for key in whole if key.startswith(f"{side}.") and key not in total), key=_position
        )
        buckets.append(Bucket(whole[f"{side}.views"], [whole[name] for name in names]))  # type: ignore[arg-type,misc]
    return buckets


def _position(key: str) -> int:
    return int(key.split(".")[1])
