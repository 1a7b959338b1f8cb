"""Pass training pictures through a reconstructor, once, resumable: an autoencoder, or GenSign's DAIR."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vestige.data.draws import name_key
from vestige.data.manifest import Row, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder
from vestige.progress import Progress
from vestige.training.recipe import Recipe, SelfAugmentation
from vestige.training.views import read_pixels

Pixels = npt.NDArray[np.uint8]
# Pixels and the picture's name -> the reconstruction, and a text that says how it was made.
Reconstructor = Callable[[Pixels, str], tuple[Pixels, str]]

MULTIPLE = 8  # sides are cut to multiples of it
WINDOW = 768  # DAIR reconstructs the middle of larger pictures: a whole one would not fit into memory


def chosen(recipe: Recipe, rows: list[Row]) -> list[int]:
    """Indices of the rows that are reconstructed or get imprints, drawn by seed.

    Of the real ones at most `per_group` of each source; for self-augmentation also of the generated ones.
    """
    section = recipe.data.reconstruction or recipe.data.self_augmentation or recipe.data.imprinting
    if section is None:
        return []
    labels = (0, 1) if isinstance(section, SelfAugmentation) else (0,)
    groups: dict[tuple[int, str], list[int]] = {}
    for index, row in enumerate(rows):
        if row.label in labels:
            groups.setdefault((row.label, row.group), []).append(index)
    rng = np.random.default_rng(recipe.seed)
    picked = [rng.permutation(groups[name])[: section.per_group] for name in sorted(groups)]
    return sorted(int(index) for part in picked for index in part)


def reconstruct(
    recipe: Recipe,
    rows: list[Row],
    weights: Path | None,
    folder: Path,
    progress: Progress,
) -> dict[int, Path]:
    """Make the reconstructions of a recipe; those that are in `folder` are kept.

    Returns:
        The PNG file of each row index. One made by DAIR holds the structure as the text "structure".

    Raises:
        ConfigError: the reconstructor's weights are not there, or it was trained with fewer levels than the
            recipe asks for.
        DataError: a picture cannot be read or is too small.
    """
    files = {index: folder / f"{_digest(rows[index].name)}.png" for index in chosen(recipe, rows)}
    missing = [index for index, path in files.items() if not path.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        reconstructor = _reconstructor(recipe, weights)
        for index in progress.track(missing, "reconstructing pictures"):
            pixels, how = reconstructor(_whole(rows[index]), rows[index].name)
            _write(files[index], pixels, how)
    return files


def reconstructor_sha256(recipe: Recipe, weights: Path | None) -> str | None:
    """Hash of the DAIR by which a recipe augments its pictures; None if it does not.

    Raises:
        ConfigError: no trained DAIR among the starting weights.
    """
    method, _ = recipe.parts()
    if recipe.data.self_augmentation is None or method.looks_at == "facts":
        return None
    from vestige.methods.gensign.files import NETWORK, find_dair

    return sha256_of(find_dair(None, weights) / NETWORK)


def _whole(row: Row) -> Pixels:
    pixels = read_pixels(row.content(), row.name)
    height, width = pixels.shape[:2]
    if min(height, width) < MULTIPLE:
        raise DataError(
            f"{row.name}: {width}x{height} pixels are too few, reconstructed pictures need sides of "
            f"{MULTIPLE} or more; leave it out of the manifest"
        )
    return pixels


def _reconstructor(recipe: Recipe, weights: Path | None) -> Reconstructor:
    if recipe.data.self_augmentation is not None:
        return _dair(recipe.data.self_augmentation, recipe.seed, weights)
    network = _autoencoder(weights)
    return lambda pixels, name: (_pass(network, pixels), "")


def _autoencoder(weights: Path | None) -> TinyAutoencoder:
    if weights is None:
        raise ConfigError(
            "the recipe reconstructs real pictures: give the folder with a tiny autoencoder's *_encoder.pth "
            "and *_decoder.pth with --weights"
        )
    return TinyAutoencoder.load(*find_autoencoder(weights))


def _dair(section: SelfAugmentation, seed: int, weights: Path | None) -> Reconstructor:
    from vestige.methods.gensign.files import find_dair, load_dair

    folder = find_dair(None, weights)
    network, space = load_dair(folder)
    if section.levels is not None:
        if section.levels > space.levels:
            raise ConfigError(
                f"{folder}: this reconstructor was trained with levels {space.levels}, the self-augmentation "
                f"asks for {section.levels}"
            )
        space = space.model_copy(update={"levels": section.levels})

    def made(pixels: Pixels, name: str) -> tuple[Pixels, str]:
        # By name and not by position: adding a source must not redraw all others.
        value = np.random.SeedSequence([seed, *name_key(name)]).generate_state(1, np.uint64)[0]
        structure = space.draw(torch.Generator().manual_seed(int(value) % 2**63))
        with torch.inference_mode():
            return _pixels(network(_images(_middle(pixels)), [structure])), structure.model_dump_json()

    return made


def _middle(pixels: Pixels) -> Pixels:
    top, left = (max(0, side - WINDOW) // 2 for side in pixels.shape[:2])
    return pixels[top : top + WINDOW, left : left + WINDOW]


def _pass(network: TinyAutoencoder, pixels: Pixels) -> Pixels:
    with torch.inference_mode():
        return _pixels(network(_images(pixels)))


def _images(pixels: Pixels) -> torch.Tensor:
    height, width = (side // MULTIPLE * MULTIPLE for side in pixels.shape[:2])
    return torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1)[None] / 255


def _pixels(images: torch.Tensor) -> Pixels:
    found: Pixels = (images[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return found


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _write(path: Path, pixels: Pixels, how: str) -> None:
    # Written under another name first: a kill must not leave half a picture that a resumed run would use.
    partial = path.with_suffix(".part")
    text = PngInfo()
    if how:
        text.add_text("structure", how)
    Image.fromarray(pixels).save(partial, "PNG", compress_level=1, pnginfo=text)
    partial.replace(path)
