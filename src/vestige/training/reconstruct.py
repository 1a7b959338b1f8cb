"""Pass real training pictures through a tiny autoencoder, once, resumable."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from vestige.data.manifest import Row
from vestige.errors import ConfigError
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder
from vestige.progress import Progress
from vestige.training.recipe import Recipe
from vestige.training.views import read_pixels


def chosen(recipe: Recipe, rows: list[Row]) -> list[int]:
    """Indices of the real rows that are reconstructed: at most `per_group` of each source, drawn by seed."""
    section = recipe.data.reconstruction
    if section is None:
        return []
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.label == 0:
            groups.setdefault(row.group, []).append(index)
    rng = np.random.default_rng(recipe.seed)
    picked = [rng.permutation(groups[name])[: section.per_group] for name in sorted(groups)]
    return sorted(int(index) for part in picked for index in part)


def reconstruct(
    recipe: Recipe, rows: list[Row], weights: Path | None, folder: Path, progress: Progress
) -> dict[int, Path]:
    """Make the reconstructions of a recipe, sides cut to multiples of 8; those that are in `folder` are kept.

    Returns:
        The PNG file of each row index.

    Raises:
        ConfigError: the autoencoder's weights are not in the folder `weights`.
        DataError: a picture cannot be read.
    """
    files = {index: folder / f"{index:06d}.png" for index in chosen(recipe, rows)}
    missing = [index for index, path in files.items() if not path.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        network = _autoencoder(weights)
        for index in progress.track(missing, "reconstructing real pictures"):
            _write(files[index], _pass(network, read_pixels(rows[index].content())))
    return files


def _autoencoder(weights: Path | None) -> TinyAutoencoder:
    if weights is None:
        raise ConfigError(
            "the recipe reconstructs real pictures: give the folder with a tiny autoencoder's *_encoder.pth "
            "and *_decoder.pth with --weights"
        )
    return TinyAutoencoder.load(*find_autoencoder(weights))


def _pass(network: TinyAutoencoder, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[0] // 8 * 8, pixels.shape[1] // 8 * 8
    images = torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        result = network(images)[0]
    found: npt.NDArray[np.uint8] = (result * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return found


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    # Written under another name first: a kill must not leave half a picture that a resumed run would use.
    partial = path.with_suffix(".part")
    Image.fromarray(pixels).save(partial, "PNG", compress_level=1)
    partial.replace(path)
