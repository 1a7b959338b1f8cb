"""Any vision model of transformers as a frozen tower: images in [0, 1] -> chosen outputs, side by side.

The configuration says everything but the weights: a trained network is built again without hub or files.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from math import isqrt
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.func import functional_call

from vestige.errors import ConfigError
from vestige.nn.clip_vision import read_safetensors

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
SIDE = 224  # what a tower is tried out with whose configuration has no image_size

# What a file's numbers are kept in; here everything is float32.
_KEPT_IN = ("dtype", "torch_dtype")
# Of a configuration, what changes the answers and does not show in the weights' shapes.
_UNSEEN = ("hidden_act", "num_attention_heads", "num_heads", "layer_norm_eps", "window_size", "rope_theta")

# In transformers' report on a file.
_LACKING = ("missing_keys", "mismatched_keys")

Positive = Annotated[float, Field(gt=0)]


class TransformersTowerConfig(BaseModel):
    """Shape of a tower, and how images enter it.

    Attributes:
        config: what a model's config.json says: `model_type` (dinov2, vit, siglip_vision_model, convnext ...)
            and all that differs from transformers' defaults for it. Fewer layers than the weights have are
            fine: what comes after them is not computed.
        mean, deviation: of the channels, in [0, 1]; ImageNet's by default.
        image: side that the tower was made for; None: the configuration's `image_size`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    config: dict[str, Any]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[Positive, Positive, Positive] = IMAGENET_DEVIATION
    image: int | None = Field(None, ge=16)

    @field_validator("config")
    @classmethod
    def _has_a_kind(cls, config: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(config.get("model_type"), str):
            raise ValueError("model_type is missing; it names a vision model of transformers, such as dinov2")
        return config

    @property
    def kind(self) -> str:
        """The configuration's `model_type`."""
        return str(self.config["model_type"])


class TransformersTower(nn.Module):
    """A vision model and which of its outputs are used; normalisation inside.

    Args:
        config: of the tower.
        pooled: whether the model's own pooled output is one of them.
        layers: whose hidden states are summed up over the image; 0 is what enters the first layer.
        tokens: how, of "class", "mean", "deviation": the class token, and mean and standard deviation of each
            channel over all patches. Registers and the like, which stand between the two, are left out.

    Attributes:
        width: of what `forward` gives.
        image: side that the tower was made for.

    Raises:
        ConfigError: transformers does not know the configuration, or the tower has no such output.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, config: TransformersTowerConfig, pooled: bool, layers: Sequence[int], tokens: Sequence[str]
    ) -> None:
        super().__init__()
        self.config, self.pooled = config, pooled
        self.layers, self.tokens = tuple(layers), tuple(tokens)
        self.tower, self.options = _model(config, pooled)
        self.image = _side(config, self.tower.config)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(config.deviation).view(1, 3, 1, 1))
        self._interpolates = "interpolate_pos_encoding" in signature(self.tower.forward).parameters
        output = self._tried_out()
        self._require(output)
        self._leading = self._tokens_before_patches(output) if self.layers else 0
        self.width = self._chosen(output).shape[1]

    @property
    def description(self) -> str:
        """What `forward` gives, as far as the weights do not say it: for `FrozenPart`."""
        tower = json.dumps(self.config.model_dump(mode="json"), sort_keys=True)
        pooled = "pooled output and " if self.pooled else ""
        return (
            f"{pooled}{self.tokens if self.layers else 'none'} after layers {self.layers} of a vision tower "
            f"{tower} through transformers, whole of the view"
        )

    def forward(self, images: Tensor) -> Tensor:
        """The chosen outputs: the pooled one, then for each layer its tokens.

        Args:
            images: float [B, 3, S, S] in [0, 1]; where S is not the tower's own side, it is for the model to
                interpolate its position embeddings.

        Returns:
            [B, width].

        Raises:
            ConfigError: the model does not take images of this size.
        """
        normal = (images - self.mean) / self.deviation
        side = images.shape[-1]
        more = {"interpolate_pos_encoding": True} if self._interpolates and side != self.image else {}
        try:
            output = self.tower(pixel_values=normal, output_hidden_states=True, **more)
        except (ValueError, RuntimeError) as error:
            if side == self.image:
                raise
            raise ConfigError(
                f"the vision tower {self.config.kind} takes images of {self.image} pixels a side and not of "
                f"{side} ({_reason(error)}); use patches of its own size and leave out smaller pictures"
            ) from error
        return self._chosen(output)

    def _chosen(self, output: Any) -> Tensor:
        found = [output.pooler_output.flatten(1)] if self.pooled else []
        for layer in self.layers:
            found += self._summed_up(output.hidden_states[layer])
        return torch.cat(found, 1)

    def _summed_up(self, hidden: Tensor) -> list[Tensor]:
        """Tokens [B, T, D] or a map [B, D, H, W] -> what is wanted of them, [B, D] each."""
        patches = hidden[:, self._leading :] if hidden.ndim == 3 else hidden.flatten(2).transpose(1, 2)
        mean = patches.mean(1, keepdim=True)
        found = {"mean": mean[:, 0]}
        if "deviation" in self.tokens:
            # A floor and no summand: see `vestige.nn.statistics.mean_and_deviation`.
            found["deviation"] = ((patches - mean) ** 2).mean(1).clamp(min=1e-8).sqrt()
        if "class" in self.tokens:
            found["class"] = hidden[:, 0]
        return [found[token] for token in self.tokens]

    def _tried_out(self) -> Any:
        """The model's output for one image of its own size, as far as it can be had without computing it."""
        state = {
            name: tensor.to("meta")
            for name, tensor in (*self.tower.named_parameters(), *self.tower.named_buffers())
        }
        image = torch.zeros(1, 3, self.image, self.image, device="meta")
        try:
            with torch.no_grad():
                return functional_call(
                    self.tower, state, kwargs={"pixel_values": image, "output_hidden_states": True}
                )
        except Exception as error:  # a model that wants more than an image, or another one: any type
            raise ConfigError(
                f"the vision tower {self.config.kind} cannot judge an image of {self.image} pixels a side "
                f"({_reason(error)})"
            ) from error

    def _require(self, output: Any) -> None:
        kind = self.config.kind
        if self.pooled and getattr(output, "pooler_output", None) is None:
            raise ConfigError(
                f"the vision tower {kind} has no pooled output; choose layers of it and set final to null"
            )
        states = getattr(output, "hidden_states", None) or ()
        if max(self.layers, default=-1) >= len(states):
            raise ConfigError(
                f"the vision tower {kind} has {len(states)} hidden states, counted from 0; layers "
                f"{list(self.layers)} are not all among them"
            )

    def _tokens_before_patches(self, output: Any) -> int:
        """Class token, registers and the like: how many tokens are not of a patch. Images are square."""
        kind, states = self.config.kind, output.hidden_states
        first = states[0]
        patch = getattr(self.tower.config, "patch_size", None)
        leading = 0
        if first.ndim == 3:
            rows = self.image // patch if isinstance(patch, int) else isqrt(first.shape[1])
            leading = first.shape[1] - rows**2
        for layer in self.layers:
            state = states[layer]
            if state.ndim == 3:
                square = leading >= 0 and isqrt(state.shape[1] - leading) ** 2 == state.shape[1] - leading
            else:
                square = state.ndim == 4 and state.shape[2] == state.shape[3]
            if not square:
                raise ConfigError(
                    f"hidden state {layer} of the vision tower {kind} is {tuple(state.shape[1:])} for a "
                    "square image; it is not clear which of it are patches"
                )
            if "class" in self.tokens and (state.ndim == 4 or leading == 0):
                raise ConfigError(
                    f"the vision tower {kind} has no class token; take class out of tokens "
                    f"{list(self.tokens)}"
                )
        return leading


def load_transformers_tower(
    tower: TransformersTower, folder: Path, stem: str | None = None, hub: str | None = None
) -> None:
    """Load the weights, float16 or float32, from the folder of starting weights, else from the hub.

    A file of a larger model will do, such as one with a text tower or a classifier: what it has more is left.

    Args:
        folder: searched for STEM*.safetensors with all that is below it.
        stem: None: the model type.
        hub: name at the Hugging Face hub, asked only where the folder has no such file.

    Raises:
        ConfigError: no such file there and no hub to ask, or several, or it is another network.
    """
    pattern = f"{stem or tower.config.kind}*.safetensors"
    found = sorted(folder.glob(f"**/{pattern}"))
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise ConfigError(f"{folder}: several files {pattern} there ({names}); name one of them by weights")
    model = tower.tower
    common = {
        "config": deepcopy(model.config),
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
        **tower.options,
    }
    if found:
        source, state = str(found[0]), read_safetensors(found[0])
        state = {
            name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()
        }
        # It knows the names of earlier versions, and prefixes of larger models.
        with _quiet():
            loaded, report = type(model).from_pretrained(None, state_dict=state, **common)
    elif hub is not None:
        source = hub
        try:
            theirs = type(model.config).from_pretrained(hub)
            loaded, report = type(model).from_pretrained(hub, **common)
        except (
            Exception
        ) as error:  # no network, no such name, no permission, a foreign file: one of many types
            raise ConfigError(
                f"{folder}: no {pattern} there, and {hub} cannot be had from the Hugging Face hub "
                f"({_reason(error)}); put its model.safetensors there under such a name"
            ) from error
        _require_same(theirs, model.config, hub)
    else:
        raise ConfigError(
            f"{folder}: no {pattern} there; put the model's model.safetensors (transformers, "
            f"{type(model).__name__}) there under such a name"
        )
    own = model.state_dict()
    # What a file lacks, transformers fills with random numbers.
    lacking = {key if isinstance(key, str) else key[0] for part in _LACKING for key in report[part]}
    if lacking:
        first = next((name for name in own if name in lacking), min(lacking))
        shape = f" {tuple(own[first].shape)}" if first in own else ""
        raise ConfigError(f"{source}: not the weights of this vision tower, {first}{shape} is missing")
    model.load_state_dict({name: tensor.float() for name, tensor in loaded.state_dict().items()})


def _model(config: TransformersTowerConfig, pooled: bool) -> tuple[Any, dict[str, Any]]:
    """The model with random weights, and what its class is built with besides the configuration."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, AutoModel  # takes seconds to import

    kind = config.kind
    values = {key: value for key, value in config.config.items() if key not in ("model_type", *_KEPT_IN)}
    if kind not in CONFIG_MAPPING:
        raise ConfigError(f"tower.config: transformers knows no model_type {kind!r}")
    known = AutoConfig.for_model(kind)
    unknown = [key for key in values if not hasattr(known, key)]
    if unknown:
        raise ConfigError(f"tower.config: {kind} has no option {', '.join(unknown)}")
    try:
        made = AutoConfig.for_model(kind, **values)
        network = MODEL_MAPPING[type(made)]
        if getattr(network, "main_input_name", None) != "pixel_values":
            raise ConfigError(f"tower.config: {kind} is no vision model; a vision tower takes images alone")
        # Many a file has no pooling layer: it must not be asked for where nothing reads it.
        optional = "add_pooling_layer" in signature(network.__init__).parameters and not pooled
        options = {"add_pooling_layer": False} if optional else {}
        return AutoModel.from_config(made, **options).float().eval(), options
    except ConfigError:
        raise
    except Exception as error:  # transformers checks here and there, and raises about anything
        raise ConfigError(f"tower.config: no {kind} can be made of it ({_reason(error)})") from error


def _side(config: TransformersTowerConfig, made: Any) -> int:
    said = getattr(made, "image_size", None)
    if isinstance(said, (list, tuple)) and len(set(said)) == 1:
        said = said[0]
    if not isinstance(said, int):
        return config.image or SIDE
    if config.image not in (None, said):
        raise ConfigError(
            f"tower.image is {config.image}, but image_size is {said} in tower.config: leave out the first, "
            "or set the second"
        )
    return said


def _require_same(theirs: Any, ours: Any, hub: str) -> None:
    for name in _UNSEEN:
        one, other = getattr(theirs, name, None), getattr(ours, name, None)
        if one != other:
            raise ConfigError(f"{hub}: its {name} is {one}, the recipe's tower has {other}")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 200 else f"{text[:200]}...") or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' table of what a file has more."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
