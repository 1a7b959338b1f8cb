"""Frozen features of views: from the stores on disk as far as they hold them, computed as far as they do not.

Each part of a network has a store of its own. A view is decoded and cut once for all parts that lack it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vestige.data.claims import divide
from vestige.errors import DataError
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.feature_store import KEY_BYTES, FeatureStore, Rows

# To be raised when pictures are decoded, views are cut or features are computed in another way: what was kept
# from before is then not found.
MAKING = 1
PICTURES = 64  # whose views are computed at once where nothing says how many views a picture has
BATCH = 16
WORKERS = 2

Pixels = npt.NDArray[np.uint8]
Wanted = tuple["Request", int]  # and a position in its keys
Precision = Literal["float32", "bfloat16"]
T = TypeVar("T")


@dataclass(frozen=True)
class Bucket:
    """Views whose features have one shape.

    Attributes:
        views: int64 [N], indices into the plan, ascending.
        features: float16 arrays with N rows each, as the network's `frozen` returned them.
        side: of the views in pixels; 0: not of pictures.
    """

    views: npt.NDArray[np.int64]
    features: Sequence[Rows]
    side: int = 0


class Request(NamedTuple):
    """Views of one picture.

    Attributes:
        keys: what the stores call them; one key may stand for several views of one size.
        cut: positions in `keys` -> the views of each, uint8 [n, s, s, 3]. Called in a thread.
    """

    keys: Sequence[bytes]
    cut: Callable[[Sequence[int]], Sequence[Pixels]]


@dataclass(frozen=True)
class Source:
    """A part of a network, and the store of what it says."""

    store: FeatureStore
    compute: Callable[[Tensor], tuple[Tensor, ...]]


def key_of(*identity: str | int) -> bytes:
    """A store's key for what is told apart by these values."""
    return hashlib.sha256(json.dumps(identity).encode()).digest()[:KEY_BYTES]


def sources_of(
    network: Network,
    name: str,
    views: Mapping[str, Any],
    folder: Path,
    precision: Precision,
    teachers: bool = False,
) -> list[Source]:
    """The parts of a network with their stores; a network that is not divided is one part.

    Args:
        network: put into eval mode.
        name: of the method with its options; only matters for networks that are not divided.
        views: what decides the pixels of a view apart from the picture; JSON values.
        folder: of the stores.
        teachers: whether the network's teachers follow its parts, for training.
    """
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    common = {"making": MAKING, "views": dict(views), "precision": precision}
    parts = network.parts()
    found = []
    if not parts:
        kind = {"network": name, "weights": fingerprint(network), **common}
        found.append(Source(FeatureStore(folder, kind), network.frozen))
    for description, module in (*parts, *(network.teachers() if teachers else ())):
        kind = {"part": description, "weights": fingerprint(module), **common}
        found.append(Source(FeatureStore(folder, kind), _as_tuple(module)))
    return found


def fingerprint(module: nn.Module) -> str:
    """sha256 of types, shapes and values of all that a module's state holds, whatever it is called there.

    Names do not count: two methods may build the same part from modules that are nested differently. What
    the tensors are for is the description's matter.
    """
    found = []
    for tensor in module.state_dict().values():
        digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
        # As bytes: NumPy does not know bfloat16.
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
        found.append(digest.hexdigest())
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def compute(
    sources: Sequence[Source],
    shards: Sequence[Sequence[Request]],
    precision: Precision,
    progress: Progress,
) -> None:
    """Put into each source's store what it lacks; a kill costs one shard at most.

    Processes that compute for the same folder at the same time divide the views among them. Batches hold
    what is missing, so a feature may differ in the last digit by what was there before, or by who else is at
    work.

    Raises:
        DataError: a picture cannot be read, or features are not finite in float16.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        divide(
            sources[0].store.folder.parent,
            shards,
            lambda shard: _lacking(sources, shard),
            lambda views: _compute_views(sources, views, precision, pool),
            lambda all_of_them: progress.track(all_of_them, "computing frozen features"),
        )
    for source in sources:
        source.store.refresh()


def gather(sources: Sequence[Source], keys: Sequence[bytes]) -> list[Bucket]:
    """Features of all keys, which the stores must hold, by side of the view, ascending.

    `Bucket.views` are indices into `keys`: where a key stands for several views, its index comes as often.

    Raises:
        DataError: the stores contradict each other.
    """
    found = [[source.store[key] for key in keys] for source in sources]
    first = found[0]
    for source, places in zip(sources, found, strict=True):
        pairs = zip(first, places, strict=True)
        if any((one.side, one.rows) != (other.side, other.rows) for one, other in pairs):
            raise DataError(
                f"{source.store.folder}: its views have other sizes than those of another part; delete it"
            )
    buckets = []
    for side in sorted({place.side for place in first}):
        members = [number for number, place in enumerate(first) if place.side == side]
        views = np.repeat(np.array(members, np.int64), [first[number].rows for number in members])
        features = [
            rows
            for source, places in zip(sources, found, strict=True)
            for rows in source.store.read([places[number] for number in members])
        ]
        buckets.append(Bucket(views, features, side))
    return buckets


def features_of(
    network: Network,
    name: str,
    pictures: Sequence[T],
    identities: Sequence[str],
    cut: Callable[[T], Pixels],
    cutting: str,
    folder: Path,
    progress: Progress,
    precision: Precision = "float32",
) -> list[Bucket]:
    """Frozen features of any views of any pictures, such as the patches that a test picture is judged by.

    What `folder` holds is neither decoded nor computed again, also where another run, another method with
    the same part, or another process put it there. To score them, 64 views at once for example:

        for bucket in features_of(...):
            logits = network.head(*examples.tensors(bucket, members)).logit   # members: int64 array
            owners = bucket.views[members]                                    # indices into `pictures`

    Args:
        network: put into eval mode; what it was trained to does not matter if it is divided into parts.
        name: of the method with its options; only matters for networks that are not divided into parts.
        pictures: whatever `cut` takes: paths, rows, ...
        identities: of each picture, the same only for the same pixels: the sha256 of its file.
        cut: a picture -> its views, uint8 [n, s, s, 3], the same each time; n and s may differ between
            pictures. Called in threads.
        cutting: what decides how `cut` works, in words, such as "4 native patches of 224": the same words
            only for the same views.
        folder: of the stores (`vestige train --cache`).
        precision: as in a recipe's data section.

    Returns:
        Buckets by side of the view, ascending. `Bucket.views` is int64 [N]: for each row of the features the
        index of the picture whose view it is, ascending; a picture's views in the order of `cut`.

    Raises:
        DataError: from `cut`; no views of a picture; features are not finite in float16.
    """
    sources = sources_of(network, name, {"cutting": cutting}, folder, precision)
    keys = [key_of(identity) for identity in identities]
    missing = [
        Request([key], _cutting_all(cut, picture))
        for key, picture in zip(keys, pictures, strict=True)
        if any(key not in source.store for source in sources)
    ]
    shards = [missing[start : start + PICTURES] for start in range(0, len(missing), PICTURES)]
    compute(sources, shards, precision, progress)
    return gather(sources, keys)


def _cutting_all(cut: Callable[[T], Pixels], picture: T) -> Callable[[Sequence[int]], Sequence[Pixels]]:
    return lambda _: [cut(picture)]


def _as_tuple(module: nn.Module) -> Callable[[Tensor], tuple[Tensor, ...]]:
    return lambda images: (module(images),)


def _lacking(sources: Sequence[Source], shard: Sequence[Request]) -> list[tuple[Wanted, list[str]]]:
    """Which views of a shard a store lacks, each with the names of all that it is lacking in."""
    for source in sources:
        source.store.refresh()  # another process may have been here in the meantime
    found = []
    for request in shard:
        for position, key in enumerate(request.keys):
            stores = [source.store.folder.name for source in sources if key not in source.store]
            if stores:
                found.append(((request, position), [f"{store} {key.hex()}" for store in stores]))
    return found


def _compute_views(
    sources: Sequence[Source], views_wanted: Sequence[Wanted], precision: Precision, pool: ThreadPoolExecutor
) -> None:
    wanted = [
        (members[0][0], [position for _, position in members])
        for members in (list(group) for _, group in groupby(views_wanted, lambda one: id(one[0])))
    ]
    keys = [request.keys[position] for request, positions in wanted for position in positions]
    cut = pool.map(lambda pair: pair[0].cut(pair[1]), wanted)
    views = [found for several in cut for found in several]
    for source in sources:
        sides: dict[int, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            if key not in source.store:
                if not len(views[number]):
                    raise DataError("no views were cut from a picture: each needs at least one")
                sides[views[number].shape[1]].append(number)
        for side, members in sides.items():
            features = _features(source, [view for number in members for view in views[number]], precision)
            counts = [len(views[number]) for number in members]
            source.store.add(side, [keys[number] for number in members], counts, features)


def _features(source: Source, views: Sequence[Pixels], precision: Precision) -> list[npt.NDArray[np.float16]]:
    """What a part says of views uint8 [s, s, 3] of one size: tensors with a row for each."""
    parts = []
    for first in range(0, len(views), BATCH):
        batch = torch.from_numpy(np.stack(views[first : first + BATCH]))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            # [B, H, W, 3] seen as [B, 3, H, W] is channels last already.
            parts.append(source.compute(batch.permute(0, 3, 1, 2).float() / 255))
    found = [torch.cat(tensors).half() for tensors in zip(*parts, strict=True)]
    if any(len(tensor) != len(views) for tensor in found):
        raise ValueError("a frozen part must give as many rows as it is given images")
    if not all(torch.isfinite(tensor).all() for tensor in found):
        raise DataError(
            f"{source.store.folder / 'store.json'}: features of these pictures are not finite or beyond what "
            "float16 holds; the part of the network that is described there must give smaller numbers"
        )
    return [tensor.numpy() for tensor in found]
