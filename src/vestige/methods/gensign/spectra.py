"""Power spectra of residuals: what simulated and real generators are compared by (GenSign, key insight).

One operator says the residual of every picture, simulated or found, and crops have one side: the extractor's
group normalisation looks at the whole crop. What cannot be made alike is the history of compression. Found
pictures mostly were JPEGs; a simulated one is a reconstruction of such a picture, and the reconstructor
wipes out part of its traces. Encoding all crops once more at one quality gives them at least the same end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vestige.data.augment import recode
from vestige.data.manifest import sha256_of
from vestige.errors import ConfigError
from vestige.methods.gensign.dair import Dair
from vestige.methods.gensign.files import NETWORK, load_dair, load_extractor
from vestige.methods.gensign.structure import Structure, StructureSpace

WINDOW = 64  # side of the squares that are transformed
STEP = WINDOW // 2
BINS = (WINDOW // 2 + 1) ** 2 - 1
# Power of a hundredth of a grey level: blank pictures must not lie as far away as a logarithm can go.
FLOOR = (2 * 0.01 / 255) ** 2
NOISE = (2 * 3 / 255) ** 2  # variance that the high-pass takes for noise: 3 grey levels
BATCH = 16

ResidualKind = Literal["extractor", "highpass"]
# float32 [B, 3, H, W] in [0, 1] -> residual of the same shape, in units of pictures in [-1, 1].
Operator = Callable[[Tensor], Tensor]
Crops = npt.NDArray[np.uint8]  # [N, side, side, 3]
Spectra = npt.NDArray[np.float32]  # [N, BINS], dB


def spectra(residuals: Tensor) -> Tensor:
    """Log power spectra of the luma of residuals.

    Welch's estimate: squares of 64 pixels that overlap by half, mean taken off, Hann window, powers
    averaged. The window is symmetric and the four quadrants are averaged, so that mirrored pictures have
    one spectrum.

    Args:
        residuals: float [B, 3, H, W], sides multiples of 32 from 64 on.

    Returns:
        float64 [B, 1088] in dB: rows of frequencies 0, 1/64, ..., 1/2 cycles per pixel down, the same
        across, without the first (0, 0). White noise of variance v has 10 log10 v everywhere.

    Raises:
        ValueError: sides that squares do not fill.
    """
    if min(residuals.shape[-2:]) < WINDOW or any(side % STEP for side in residuals.shape[-2:]):
        raise ValueError(
            f"sides must be multiples of {STEP} from {WINDOW} on, got {tuple(residuals.shape[-2:])}"
        )
    shares = residuals.new_tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)
    luma = (residuals.double() * shares).sum(1)
    squares = luma.unfold(1, WINDOW, STEP).unfold(2, WINDOW, STEP)  # [B, rows, columns, 64, 64]
    squares = squares - squares.mean((-2, -1), keepdim=True)
    hann = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64, device=residuals.device)
    window = hann[:, None] * hann
    power = torch.fft.fft2(squares * window).abs().square().mean((1, 2)) / window.square().sum()
    for axis in (-2, -1):
        power = (power + power.flip(axis).roll(1, axis)) / 2
    quadrant = power[:, : WINDOW // 2 + 1, : WINDOW // 2 + 1]
    found: Tensor = 10 * (quadrant.flatten(1)[:, 1:] + FLOOR).log10()
    return found


def high_pass(images: Tensor) -> Tensor:
    """What a local Wiener filter takes for noise: details in flat places, little at edges.

    Lee, Digital image enhancement and noise filtering by use of local statistics, 1980: windows of 5 x 5, the
    picture reflected. A linear high-pass would not do: it shifts all log spectra by the same amount.

    Args:
        images: float [B, 3, H, W] in [0, 1], sides from 3.

    Returns:
        The same shape, in units of pictures in [-1, 1].
    """
    padded = F.pad(images * 2 - 1, (2, 2, 2, 2), mode="reflect")
    # Centred, so that the variance below is no small difference of large numbers.
    centre = padded.mean((-2, -1), keepdim=True)
    mean = F.avg_pool2d(padded - centre, 5, 1)
    variance = F.avg_pool2d((padded - centre).square(), 5, 1) - mean.square()
    detail = images * 2 - 1 - centre - mean
    return detail * (NOISE / variance.clamp(min=NOISE))


class Spectrometer:
    """Crops -> spectra of their residuals.

    Args:
        operator: the same for all that is compared.
        jpeg: quality at which each crop is encoded once more (4:2:0), or None.
    """

    def __init__(self, operator: Operator, jpeg: int | None) -> None:
        self.operator = operator
        self.jpeg = jpeg

    def __call__(self, crops: Crops) -> Spectra:
        """One spectrum for each crop.

        Args:
            crops: uint8 [N, side, side, 3]; `side` as `spectra` wants it.
        """
        if not len(crops):
            return np.empty((0, BINS), np.float32)
        if self.jpeg is not None:
            crops = np.stack([_recoded(crop, self.jpeg) for crop in crops])
        parts = []
        for first in range(0, len(crops), BATCH):
            with torch.inference_mode():
                parts.append(spectra(self.operator(_images(crops[first : first + BATCH]))))
        found: Spectra = torch.cat(parts).float().numpy()
        return found


class Simulator:
    """A reconstructor as many generators, all on the same pictures: they differ by structure alone.

    Args:
        dair: in eval mode.
        crops: uint8 [N, side, side, 3], of real pictures.
        measure: what their reconstructions pass.
    """

    def __init__(self, dair: Dair, crops: Crops, measure: Spectrometer) -> None:
        self.dair = dair
        self.measure = measure
        with torch.inference_mode():
            self.maps = dair.encoder(_images(crops) * 2 - 1)

    def crops(self, structure: Structure) -> Crops:
        """The reconstructions by one structure, as 8-bit pictures: uint8 [N, side, side, 3]."""
        with torch.inference_mode():
            made = (self.dair.decoder(self.maps, structure) + 1) / 2
            levels = (made.clamp(0, 1) * 255).round().to(torch.uint8)
        found: Crops = levels.permute(0, 2, 3, 1).numpy()
        return found

    def spectra(self, structures: Sequence[Structure]) -> Spectra:
        """The mean spectrum of each structure, float32 [structures, BINS]."""
        found = [self.measure(self.crops(one)).mean(0, dtype=np.float64) for one in structures]
        return np.array(found, dtype=np.float32)


@dataclass(frozen=True)
class Instruments:
    """What a run has for this comparison.

    Attributes:
        dair: frozen.
        space: of the structures that it was trained with.
        residual: which operator.
        operator: the operator itself.
        sha256: of the files of weights, by the name of the stage.
    """

    dair: Dair
    space: StructureSpace
    residual: ResidualKind
    operator: Operator
    sha256: dict[str, str]


def instruments(run: Path, residual: ResidualKind | None) -> Instruments:
    """Load the reconstructor of a run, and its extractor if that says the residuals.

    Args:
        run: folder with `dair` and perhaps `extractor`.
        residual: None takes the extractor if the run has one, or else the high-pass.

    Raises:
        ConfigError: no trained reconstructor, or no trained extractor where it is asked for.
    """
    folder = _trained(run, "dair")
    dair, space = load_dair(folder)
    hashes = {"dair": sha256_of(folder / NETWORK)}
    if residual is None:
        residual = "extractor" if (run / "extractor" / NETWORK).exists() else "highpass"
    if residual == "highpass":
        return Instruments(dair, space, residual, high_pass, hashes)
    folder = _trained(run, "extractor")
    hashes["extractor"] = sha256_of(folder / NETWORK)
    return Instruments(dair, space, residual, load_extractor(folder), hashes)


def draw_structures(space: StructureSpace, count: int, seed: int) -> list[Structure]:
    """Distinct structures; fewer of the same seed are the beginning of more.

    Raises:
        ConfigError: the space has not so many.
    """
    if count > space.count():
        raise ConfigError(
            f"{count} structures asked for, the reconstructor's space has {space.count()}; ask for fewer"
        )
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[Structure, None] = {}
    while len(drawn) < count:
        drawn[space.draw(generator)] = None
    return list(drawn)


def _trained(run: Path, stage: str) -> Path:
    folder = run / stage
    if not (folder / NETWORK).exists():
        raise ConfigError(
            f"no trained {stage} in {folder}: name the folder of a run, or train the stage there first with "
            f"vestige train RECIPE --stage {stage}"
        )
    return folder


def _images(crops: Crops) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255


def _recoded(crop: Crops, quality: int) -> Crops:
    return np.asarray(recode(Image.fromarray(crop), "JPEG", quality=quality, subsampling=2))
