"""Pass training pictures through a reconstructor, once, resumable.

By default it is a tiny autoencoder, for self-augmentation GenSign's DAIR; or a recipe lists several.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vestige.data.atomic import whole_file
from vestige.data.claims import divide
from vestige.data.draws import name_key
from vestige.data.manifest import Row, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.methods.reconstructors import Reconstructor, build_reconstructors
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder
from vestige.progress import Progress
from vestige.training.features import fingerprint
from vestige.training.recipe import Recipe, SelfAugmentation
from vestige.training.scoring import identity
from vestige.training.views import read_pixels

if TYPE_CHECKING:
    from vestige.methods.gensign.structure import Structure

Pixels = npt.NDArray[np.uint8]
Texts = dict[str, str]  # of a file, that say how it was made

MULTIPLE = 8  # sides are cut to multiples of it; for listed reconstructors, of their own
# Of larger pictures DAIR and listed reconstructors get the middle: a whole one would not fit into memory.
WINDOW = 768
STRUCTURE, MAKER = "structure", "reconstructor"  # names of the texts
MAKING = 1  # raised when the same networks make other pictures, so that shared ones are not found


@dataclass(frozen=True)
class Passing:
    """What pictures pass through.

    Attributes:
        name: of its folder among shared ones.
        decides: all that decides a reconstruction apart from the picture and what is drawn for it.
        make: pixels and the picture's name -> the reconstruction, and texts for its file.
        drawn: what is drawn for a picture of this name.
    """

    name: str
    decides: str
    make: Callable[[Pixels, str], tuple[Pixels, Texts]]
    drawn: Callable[[str], str] = lambda name: ""


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
    shared: Path | None = None,
) -> dict[int, Path]:
    """Make the reconstructions of a recipe; those that are there are kept.

    Processes that make them in the same folder at the same time divide the pictures among them.

    Args:
        folder: of the run, where a picture is known by its name.
        shared: instead of it, a folder for any number of runs, where a reconstruction is known by all that it
            follows from: the picture's bytes, the network with its weights, and what was drawn.

    Returns:
        The PNG file of each row index. One made for self-augmentation holds DAIR's structure as the text
        "structure", one made by a listed reconstructor the name of this as the text "reconstructor".

    Raises:
        ConfigError: a reconstructor's weights are not there, or it was trained with fewer levels than the
            recipe asks for.
        DataError: a picture cannot be read or is too small.
    """
    picked = chosen(recipe, rows)
    listed = _listed(recipe, weights)
    if listed:
        return _by_listed(listed, recipe, rows, folder, shared, progress)
    if not picked:
        return {}
    if shared is None:
        files = {index: folder / f"{_digest(rows[index].name)}.png" for index in picked}
        if all(path.exists() for path in files.values()):
            return files  # without a look at the weights, which need not be there any more
    passing = _passing(recipe, weights)
    if shared is not None:
        place = shared / f"{passing.name}-{_sha256(passing.decides)[:12]}"
        files = {
            index: place / f"{_digest(identity(rows[index]) + passing.drawn(rows[index].name))}.png"
            for index in picked
        }

    def make(index: int) -> tuple[Pixels, Texts]:
        return passing.make(_whole(rows[index]), rows[index].name)

    _make(files, make, shared or folder, progress)
    return files


def _make(
    files: Mapping[int, Path],
    make: Callable[[int], tuple[Pixels, Texts]],
    folder: Path,
    progress: Progress,
) -> None:
    """Make the files that are not there, together with other processes that do so in `folder`."""

    def lacking(index: int) -> list[tuple[int, list[str]]]:
        path = files[index]
        return [] if path.exists() else [(index, [path.relative_to(folder).as_posix()])]

    def do(wanted: Sequence[int]) -> None:
        for index in wanted:
            pixels, texts = make(index)
            files[index].parent.mkdir(parents=True, exist_ok=True)
            _write(files[index], pixels, texts)

    missing = [index for index, path in files.items() if not path.exists()]
    what = "reconstructing pictures"
    divide(folder, missing, lacking, do, lambda indices: progress.track(indices, what))


def makers_of(files: Mapping[int, Path]) -> dict[int, str]:
    """Of each row index the listed reconstructor that made its file.

    Raises:
        DataError: a file cannot be read, or does not name its reconstructor.
    """
    found = {}
    for index, path in files.items():
        try:
            with Image.open(path) as image:
                found[index] = str(image.info[MAKER])
        except (OSError, KeyError) as error:
            raise DataError(
                f"{path}: does not say which reconstructor made it ({error}); delete it to have it made again"
            ) from error
    return found


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


def reconstructors_facts(recipe: Recipe, weights: Path | None) -> dict[str, Any] | None:
    """What a run keeps of the reconstructors that its recipe lists; None if it lists none.

    Returns:
        `key` of all that decides their reconstructions, their `names`, and `notes` of their weights.

    Raises:
        ConfigError: one cannot be had, or two have the same name.
    """
    listed = _listed(recipe, weights)
    if not listed:
        return None
    return {
        "key": _sha256(json.dumps([_identity(network) for network in listed])),
        "names": [network.name for network in listed],
        "notes": list(dict.fromkeys(network.weights_note for network in listed)),
    }


def _listed(recipe: Recipe, weights: Path | None) -> tuple[Reconstructor, ...]:
    section = recipe.data.reconstruction
    if section is None or not section.by:
        return ()
    try:
        return build_reconstructors(section.by, weights)
    except ConfigError as error:
        raise ConfigError(f"data.reconstruction.by: {error}") from error


def _identity(network: Reconstructor) -> list[str | int]:
    return [network.name, network.description, network.multiple, WINDOW, fingerprint(network)]


def _by_listed(
    listed: Sequence[Reconstructor],
    recipe: Recipe,
    rows: list[Row],
    folder: Path,
    shared: Path | None,
    progress: Progress,
) -> dict[int, Path]:
    """Each reconstructor has a folder of its own, named after all that decides its pictures."""
    folder = shared or folder
    folders = {
        network.name: folder / f"{network.name}-{_sha256(json.dumps(_identity(network)))[:12]}"
        for network in listed
    }
    makers = {index: _drawn(listed, recipe.seed, rows[index].name) for index in chosen(recipe, rows)}

    def name_of(row: Row) -> str:
        return row.name if shared is None else identity(row)

    files = {
        index: folders[network.name] / f"{_digest(name_of(rows[index]))}.png"
        for index, network in makers.items()
    }

    def make(index: int) -> tuple[Pixels, Texts]:
        network = makers[index]
        pixels = _middle(_whole(rows[index], network.multiple))
        return _pass(network, pixels, network.multiple), {MAKER: network.name}

    _make(files, make, folder, progress)
    return files


def _drawn(listed: Iterable[Reconstructor], seed: int, name: str) -> Reconstructor:
    # The highest of one number for each: a further reconstructor takes its pictures and redraws no others.
    return max(listed, key=lambda network: name_key(f"{seed}/{network.name}/{name}"))


def _whole(row: Row, multiple: int = MULTIPLE) -> Pixels:
    pixels = read_pixels(row.content(), row.name)
    height, width = pixels.shape[:2]
    if min(height, width) < multiple:
        raise DataError(
            f"{row.name}: {width}x{height} pixels are too few, reconstructed pictures need sides of "
            f"{multiple} or more; leave it out of the manifest"
        )
    return pixels


def _passing(recipe: Recipe, weights: Path | None) -> Passing:
    if recipe.data.self_augmentation is not None:
        return _dair(recipe.data.self_augmentation, recipe.seed, weights)
    network = _autoencoder(weights)
    decides = json.dumps([MAKING, MULTIPLE, fingerprint(network)])
    return Passing("autoencoder", decides, lambda pixels, name: (_pass(network, pixels), {}))


def _autoencoder(weights: Path | None) -> TinyAutoencoder:
    if weights is None:
        raise ConfigError(
            "the recipe reconstructs real pictures: give the folder with a tiny autoencoder's *_encoder.pth "
            "and *_decoder.pth with --weights"
        )
    return TinyAutoencoder.load(*find_autoencoder(weights))


def _dair(section: SelfAugmentation, seed: int, weights: Path | None) -> Passing:
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

    def structure_of(name: str) -> "Structure":
        # By name and not by position: adding a source must not redraw all others.
        value = np.random.SeedSequence([seed, *name_key(name)]).generate_state(1, np.uint64)[0]
        return space.draw(torch.Generator().manual_seed(int(value) % 2**63))

    def call(pixels: Pixels, name: str) -> tuple[Pixels, Texts]:
        structure = structure_of(name)
        with torch.inference_mode():
            made = _pixels(network(_images(_middle(pixels)), [structure]))
        return made, {STRUCTURE: structure.model_dump_json()}

    decides = json.dumps([MAKING, MULTIPLE, WINDOW, fingerprint(network)])
    return Passing("dair", decides, call, lambda name: structure_of(name).model_dump_json())


def _middle(pixels: Pixels) -> Pixels:
    top, left = (max(0, side - WINDOW) // 2 for side in pixels.shape[:2])
    return pixels[top : top + WINDOW, left : left + WINDOW]


def _pass(network: TinyAutoencoder | Reconstructor, pixels: Pixels, multiple: int = MULTIPLE) -> Pixels:
    with torch.inference_mode():
        return _pixels(network(_images(pixels, multiple)))


def _images(pixels: Pixels, multiple: int = MULTIPLE) -> torch.Tensor:
    height, width = (side // multiple * multiple for side in pixels.shape[:2])
    return torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1)[None] / 255


def _pixels(images: torch.Tensor) -> Pixels:
    found: Pixels = (images[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return found


def _digest(name: str) -> str:
    return _sha256(name)[:24]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, pixels: Pixels, texts: Texts) -> None:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    # A kill must not leave half a picture that a resumed run would use.
    with whole_file(path) as partial:
        Image.fromarray(pixels).save(partial, "PNG", compress_level=1, pnginfo=info)
