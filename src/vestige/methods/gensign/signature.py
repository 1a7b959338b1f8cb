"""The signature: what the detector's GenSign stream sees of a picture (GenSign, stage III)."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign.extractor import SMALL, Extractor, ExtractorConfig
from vestige.nn.srm import filters

SRM_FILTERS = (24, 29, 8)  # of the bank: square 3x3, square 5x5, second order along the row
SRM_LIMIT = 3.0  # grey levels


class SignatureConfig(BaseModel):
    """Which signature. To compare sources it is enough to change `source`: the SRM ignores the rest.

    Attributes:
        source: "extractor" was trained on the residuals of the reconstructor, "denoiser" is the same network
            trained on added Gaussian noise, "srm" are three fixed filters.
        form: of the learned sources: "fraction" is r - floor(r) as in the authors' code, "plain" is r as in
            the paper's text.
        extractor: sizes of the learned sources.
        scale: factor of the plain form. Residuals deviate by a few hundredths, the backbone was pretrained on
            pictures of deviation near 1. The fraction is taken of r as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["extractor", "srm", "denoiser"] = "extractor"
    form: Literal["fraction", "plain"] = "plain"
    extractor: ExtractorConfig = SMALL
    scale: float = Field(16.0, gt=0, allow_inf_nan=False)


class SrmSignature(nn.Module):
    """Three SRM residuals, the customary choice since Zhou et al. (2018, "Learning Rich Features").

    Each filter is applied to the mean of the colours (they: to the sum), in grey levels; the result is
    truncated to +-3 grey levels, which keeps edges from drowning the noise, and brought to [-1, 1].
    """

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernels", torch.from_numpy(filters()[list(SRM_FILTERS)])[:, None])

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1], sides from 3 -> [B, 3, H, W] in [-1, 1], the picture reflected."""
        # bfloat16 holds grey levels to half a level only: what is left after the filters would be rounding.
        with torch.autocast(images.device.type, enabled=False):
            grey = images.float().mean(1, keepdim=True) * 255
            residual = F.conv2d(F.pad(grey, (2, 2, 2, 2), mode="reflect"), self.kernels)
        return residual.clamp(-SRM_LIMIT, SRM_LIMIT) / SRM_LIMIT


class Signature(nn.Module):
    """Picture -> signature of the same size, not trained here.

    The fraction jumps at every whole number, above all at 0: a residual of -0.01 becomes 0.99. That is the
    authors' code. Two computations of one residual may thus land on both sides of the jump, with a difference
    near 1 at single places; they agree modulo 1. Kept as float16, values next to 1 become 1.

    Attributes:
        channels: of the signature.
        extractor: the network of a learned source, its parameters frozen; None with the SRM.
    """

    channels: int = 3
    extractor: Extractor | None

    def __init__(self, config: SignatureConfig) -> None:
        super().__init__()
        self.config = config
        learned = config.source != "srm"
        self.extractor = Extractor(config.extractor).requires_grad_(False) if learned else None
        self.srm = None if learned else SrmSignature()

    def forward(self, images: Tensor) -> Tensor:
        """Compute the signature.

        Args:
            images: float32 [B, 3, H, W] in [0, 1]; any H and W, with the SRM from 3.

        Returns:
            float32 [B, 3, H, W]; the fraction in [0, 1] (1 by rounding), the SRM in [-1, 1].
        """
        if self.extractor is None:
            assert self.srm is not None
            found: Tensor = self.srm(images)
            return found
        # A picture in bfloat16 has lost its last bits, and with them the traces that are looked for.
        with torch.autocast(images.device.type, enabled=False):
            residual: Tensor = self.extractor(images.float())
        if self.config.form == "plain":
            return residual * self.config.scale
        return residual - residual.floor()


def load_extractor_weights(network: Extractor, path: Path) -> None:
    """Load what `safetensors.torch.save_model` wrote of an extractor of the same sizes.

    Raises:
        ConfigError: unreadable, or a tensor is missing, superfluous or of another shape.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: cannot be read as extractor weights ({error})") from error
    own: dict[str, Tensor] = network.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in found]
    wrong += [f"{name} is superfluous" for name in found if name not in own]
    wrong += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"{path}: not an extractor of the sizes configured: {', '.join(wrong[:3])}{more}; "
            "give the sizes it was trained with"
        )
    network.load_state_dict(found)
