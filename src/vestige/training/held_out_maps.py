"""What a network says of places in held-out views, and how its maps are calibrated by that."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vestige.errors import DataError
from vestige.methods.base import Network
from vestige.training.examples import SCORING_BATCH, Examples, tensors
from vestige.training.truth import GENERATED

MAPS = "held-out-maps.npz"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutMaps:
    """Cells of the maps of some views, one view after the other.

    Attributes:
        logits: float32 [M], positive = generated.
        generated: float32 [M], the share of the cell that is generated, in [0, 1].
        cells: int64 [V], cells of each view.
        labels: int64 [V], of the picture: 1 for one that was generated, whatever became of it.
        touched: bool [V], whether the view shows anything but an untouched picture.
        pictures: int64 [V], the same number for views of one picture.
    """

    logits: npt.NDArray[np.float32]
    generated: npt.NDArray[np.float32]
    cells: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    touched: npt.NDArray[np.bool_]
    pictures: npt.NDArray[np.int64]

    def of_pictures(self, values: Values, chosen: npt.NDArray[np.bool_]) -> list[Values]:
        """What belongs to each picture of an array [M], over those of its views that are chosen, bool [V]."""
        views = np.split(values, np.cumsum(self.cells)[:-1])
        found: dict[int, list[Values]] = {}
        for view in np.flatnonzero(chosen):
            found.setdefault(int(self.pictures[view]), []).append(views[view])
        return [np.concatenate(several) for several in found.values()]


def score_maps(network: Network, examples: Examples, chosen: npt.NDArray[np.bool_]) -> HeldOutMaps | None:
    """Maps of the chosen views beside their truth; None for a network without a map."""
    network.eval()
    logits, generated = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    cells, views = [], []
    with torch.inference_mode():
        for bucket, truth in zip(examples.buckets, examples.truth, strict=True):
            members = np.flatnonzero(chosen[bucket.views])
            for first in range(0, len(members), SCORING_BATCH):
                part = members[first : first + SCORING_BATCH]
                map = network.head(*tensors(bucket, part)).map
                if map is None:
                    return None
                known = torch.from_numpy(truth[part][:, GENERATED : GENERATED + 1]).float()
                known = F.adaptive_avg_pool2d(known, (map.shape[-2], map.shape[-1]))
                logits.append(map.float().reshape(-1).numpy())
                generated.append(known.reshape(-1).numpy())
                cells += [int(map[0].numel())] * len(part)
                views.append(bucket.views[part])
    index = np.concatenate(views) if views else np.empty(0, np.int64)
    return HeldOutMaps(
        np.concatenate(logits),
        np.concatenate(generated),
        np.array(cells, np.int64),
        examples.origins[index],
        examples.touched[index],
        examples.rows[index],
    )


def write_maps(path: Path, maps: HeldOutMaps | None) -> None:
    """Write maps, whole or not at all; nothing where there are none."""
    if maps is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, **vars(maps))
    partial.replace(path)


def read_maps(paths: Sequence[Path]) -> HeldOutMaps | None:
    """What `write_maps` wrote for the folds of a run, together; None if it wrote nothing.

    Raises:
        DataError: a fold has none while others have some, or a file cannot be read.
    """
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    if len(there) < len(paths):
        missing = next(path for path in paths if path not in there)
        raise DataError(f"{missing}: is missing; delete the fold's folder and train again")
    parts = []
    for path in there:
        try:
            with np.load(path, allow_pickle=False) as found:
                parts.append({one.name: found[one.name] for one in fields(HeldOutMaps)})
        except Exception as error:  # NumPy raises about anything on a damaged file
            raise DataError(f"{path}: cannot be read ({error}); delete it and train again") from error
    return HeldOutMaps(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
