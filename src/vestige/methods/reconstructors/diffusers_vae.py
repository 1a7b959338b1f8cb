"""Reconstruction by the autoencoder of a latent-diffusion model, through the package diffusers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.reconstructors.base import NAME, Options, Reconstructor
from vestige.methods.reconstructors.extras import require

KIND = "diffusers-vae"
CLASS = "AutoencoderKL"


class VaeSource(BaseModel):
    """Where an `AutoencoderKL` comes from.

    Attributes:
        hub: name at the Hugging Face hub, or a local folder with config.json and weights as safetensors.
        subfolder: in it, such as "vae" where it holds a whole pipeline.
        revision: branch, tag or commit at the hub; None: its main branch.
        source: where the weights come from, with licence, for the card; None: only the name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hub: str = Field(min_length=1)
    subfolder: str | None = None
    revision: str | None = None
    source: str | None = None

    @property
    def short(self) -> str:
        """The last part of the hub's name or of the folder's."""
        return re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(self.hub).name).lstrip("._+-") or KIND

    @property
    def note(self) -> str:
        """What a card says of the weights."""
        if self.source is not None:
            return self.source
        where = f"the folder {self.short}" if Path(self.hub).is_dir() else f"{self.hub}, Hugging Face hub"
        return f"{CLASS} of {where}"


class DiffusersVaeOptions(VaeSource, Options):
    """An `AutoencoderKL` from the Hugging Face hub or a folder.

    Attributes:
        name: of the reconstructor; None: the last part of the hub's name.
    """

    kind: Literal["diffusers-vae"] = "diffusers-vae"
    name: str | None = Field(None, pattern=NAME)

    def build(self, weights: Path | None, run: Path | None) -> tuple[Reconstructor, ...]:
        """One reconstructor.

        Raises:
            ConfigError: the package diffusers is missing; the autoencoder cannot be had, or is another kind.
        """
        return (DiffusersVaeReconstructor(self.name or self.short, load_vae(self), self.note),)


class DiffusersVaeReconstructor(Reconstructor):
    """Mode of the posterior, decoded."""

    def __init__(self, name: str, network: nn.Module, note: str) -> None:
        super().__init__(name, f"mode of an {describe(network)}, decoded", factor(network), note)
        self.network = network
        self.freeze()

    def reconstruct(self, images: Tensor) -> Tensor:
        """As `Reconstructor.reconstruct` says."""
        vae: Any = self.network
        made: Tensor = vae.decode(posterior_mode(vae, images)).sample
        return (made + 1) / 2


def posterior_mode(vae: Any, images: Tensor) -> Tensor:
    """Images [B, 3, H, W] in [0, 1], sides multiples of the factor -> latents [B, C, H/factor, W/factor]."""
    mode: Tensor = vae.encode(images * 2 - 1).latent_dist.mode()
    return mode


def factor(vae: Any) -> int:
    """Pixels of a picture for one of its latents."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def describe(vae: Any) -> str:
    """Architecture as the configuration has it, without where it came from and who wrote it."""
    told = {name: value for name, value in sorted(vae.config.items()) if not name.startswith("_")}
    return f"{CLASS} {told}"


def load_vae(source: VaeSource) -> nn.Module:
    """The autoencoder with its weights in float32, in eval mode, frozen. Pickled weights are not read.

    Raises:
        ConfigError: the package diffusers is missing; the hub cannot be reached or has no such autoencoder;
            its weights are not complete.
    """
    _, where = _read_config(source)
    options = {"use_safetensors": True, "output_loading_info": True}
    vae, report = _ask(source, "weights (safetensors)", lambda kind: kind.from_pretrained(**where, **options))
    # What the file lacks, diffusers fills with random numbers.
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[fault]:
            raise ConfigError(
                f"{source.hub}: not the weights of its {CLASS}, {fault.replace('_', ' ')}: "
                f"{sorted(map(str, report[fault]))[0]}"
            )
    loaded: nn.Module = vae.float().eval().requires_grad_(False)
    return loaded


def _read_config(source: VaeSource) -> tuple[dict[str, Any], dict[str, Any]]:
    """What config.json says, and the arguments by which diffusers finds the files."""
    where = {
        "pretrained_model_name_or_path": source.hub,
        "subfolder": source.subfolder,
        "revision": source.revision,
    }
    config: Any = _ask(source, "architecture (config.json)", lambda kind: kind.load_config(**where))
    if not isinstance(config, dict):
        raise ConfigError(f"{source.hub}: its config.json is not a configuration of an {CLASS}")
    found = config.get("_class_name", CLASS)
    if found != CLASS:
        raise ConfigError(f"{source.hub}: its config.json is of the class {found}, wanted {CLASS}")
    channels = [config.get(name, 3) for name in ("in_channels", "out_channels")]
    if channels != [3, 3]:
        raise ConfigError(f"{source.hub}: takes and makes {channels} channels, wanted three each")
    return config, where


def _ask(source: VaeSource, what: str, question: Callable[[Any], Any]) -> Any:
    kind = getattr(require("diffusers", KIND), CLASS)
    try:
        return question(kind)
    except Exception as error:  # no network, no such name, no permission, a foreign file: one of many types
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        inside = "" if source.subfolder is None else f" (subfolder {source.subfolder})"
        raise ConfigError(
            f"{source.hub}{inside}: no {what} of an {CLASS} can be had, from a folder of this name or from "
            f"the Hugging Face hub ({reason}); name another in the recipe, or download it and name its folder"
        ) from error
