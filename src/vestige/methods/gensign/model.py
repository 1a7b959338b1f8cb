"""The network: CLIP on the picture, an EfficientNet on its signature, one head (GenSign, section 3.3)."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart, Network, Output
from vestige.methods.gensign.files import NETWORK, find_denoiser, find_extractor, require_extractor
from vestige.methods.gensign.rgb import RgbOptions, RgbStream, merge_lora, rgb_stream
from vestige.methods.gensign.signature import Signature, SignatureConfig, load_extractor_weights
from vestige.nn.efficientnet import WIDTH as B0_WIDTH
from vestige.nn.efficientnet import EfficientNetB0, load_b0
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, imagenet_weights
from vestige.nn.pixels import Middle
from vestige.nn.weights import load_weights

SLOPE = 0.2
LAST_BLOCK = len(BLOCKS) - 1


class SignatureOptions(SignatureConfig):
    """The GenSign stream: which signature, as in `SignatureConfig`, and what reads it.

    Attributes:
        backbone: "b0" as in the paper, or the cheaper "lite0".
        block: of "lite0", the last block that is used.
        start: of the backbone.
        side: only the middle so many pixels of a view are looked at; None: the whole view.
    """

    backbone: Literal["lite0", "b0"] = "lite0"
    block: int = Field(LAST_BLOCK, ge=0, le=LAST_BLOCK)
    start: Literal["imagenet", "random"] = "imagenet"
    side: int | None = Field(None, ge=32, multiple_of=32)

    @model_validator(mode="after")
    def _block_of_lite0(self) -> "SignatureOptions":
        if self.backbone != "lite0" and self.block != LAST_BLOCK:
            raise ValueError(f"block is an option of lite0, {self.backbone} is always used as a whole")
        return self


class GenSignConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        rgb, signature: the two streams; None switches one off.
        width: of the layer between the streams and the last one.
        dropout: before the last layer, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rgb: RgbOptions | None = RgbOptions()
    signature: SignatureOptions | None = SignatureOptions()
    width: int = Field(256, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _some_stream(self) -> "GenSignConfig":
        if self.rgb is None and self.signature is None:
            raise ValueError("rgb and signature are both switched off; at least one stream is needed")
        return self


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to a block, and the global mean of what it says."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block
        self.width = EfficientNetLite0.channels(block)
        self.trunk = EfficientNetLite0()
        del self.trunk._blocks[block + 1 :]
        for module in self.trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, normalised: Tensor) -> Tensor:
        """[B, 3, H, W], about [-1, 1] -> [B, width]."""
        found: Tensor = self.trunk((normalised + 1) / 2, (self.block,))[0]
        return found.mean((2, 3))


class SignatureStream(nn.Module):
    """Signature of the middle of the picture, and the network that learns to read it.

    Attributes:
        frozen: images [B, 3, H, W] in [0, 1] -> signature [B, 3, s, s].
        backbone: signature about [-1, 1] -> [B, width]; trained as a whole.
    """

    def __init__(self, options: SignatureOptions, signature: Signature) -> None:
        super().__init__()
        self.options = options
        self.frozen = nn.Sequential(Middle(options.side), signature)
        self.backbone = EfficientNetB0() if options.backbone == "b0" else Lite0(options.block)
        self.width = B0_WIDTH if isinstance(self.backbone, EfficientNetB0) else self.backbone.width

    def part(self) -> FrozenPart:
        """What is computed once per view."""
        options = self.options.model_dump_json(include={*SignatureConfig.model_fields})
        return FrozenPart(f"signature {options}, side {self.options.side or 'of the view'}", self.frozen)

    def forward(self, signature: Tensor) -> Tensor:
        """[B, 3, s, s] -> [B, width]; in training, all signatures of every other batch are mirrored."""
        # The solver seeds PyTorch's generator by the step, so a continued run mirrors the same.
        if self.training and torch.rand(()) < 0.5:
            signature = signature.flip(-1)
        found: Tensor = self.backbone(self._centred(signature))
        return found

    @torch.no_grad()
    def adapt(self, signatures: Iterable[Tensor]) -> None:
        """Give the backbone's batch normalisation the statistics of signatures, not of photographs."""
        norms = [module for module in self.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        self.eval()  # nothing random
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
            norm.train()
        for signature in signatures:
            self(signature)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def _centred(self, signature: Tensor) -> Tensor:
        fraction = self.options.source != "srm" and self.options.form == "fraction"
        return signature * 2 - 1 if fraction else signature


class GenSign(Network):
    """Two streams side by side, or one of them."""

    def __init__(
        self, config: GenSignConfig, rgb: RgbStream | None, signature: SignatureStream | None
    ) -> None:
        super().__init__()
        self.config = config
        self.rgb = rgb
        self.signature = signature
        self.fuse = nn.Linear(sum(stream.width for stream in self._streams()), config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(config.width, 1)

    def parts(self) -> tuple[FrozenPart, ...]:
        """One for each stream, RGB first."""
        return tuple(stream.part() for stream in self._streams())

    def embed(self, *features: Tensor) -> Tensor:
        """What the streams' frozen parts say -> [B, width]."""
        read = [stream(seen) for stream, seen in zip(self._streams(), features, strict=True)]
        return F.leaky_relu(self.fuse(torch.cat(read, 1)), SLOPE)

    def head(self, *features: Tensor) -> Output:
        """What the streams' frozen parts say -> logits [B]."""
        return Output(self.linear(self.dropout(self.embed(*features)))[:, 0])

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the batch normalisation of the signature's backbone to signatures."""
        if self.signature is not None:
            self.signature.adapt(features[-1] for features in batches)

    def fresh_parameters(self) -> list[nn.Parameter]:
        """The head, the low-rank updates, and a backbone without a pretrained start."""
        fresh = [*self.fuse.parameters(), *self.linear.parameters()]
        if self.rgb is not None:
            fresh += [parameter for parameter in self.rgb.parameters() if parameter.requires_grad]
        if self.signature is not None and self.signature.options.start == "random":
            fresh += self.signature.backbone.parameters()
        return fresh

    def exportable(self) -> "GenSign":
        """A copy with the low-rank updates merged into the weights; itself where there are none."""
        if self.rgb is None or self.rgb.options.lora is None:
            return self
        merged = copy.deepcopy(self)
        assert merged.rgb is not None
        merge_lora(merged.rgb)
        return merged

    def _streams(self) -> list[RgbStream | SignatureStream]:
        return [stream for stream in (self.rgb, self.signature) if stream is not None]


def build(config: GenSignConfig, weights: Path | None) -> GenSign:
    """The network with the starting weights in the folder `weights`, its head untrained.

    Raises:
        ConfigError: some are missing or belong to something else.
    """
    rgb = None if config.rgb is None else rgb_stream(config.rgb, weights)
    signature = None if config.signature is None else signature_stream(config.signature, weights)
    return GenSign(config, rgb, signature)


def signature_stream(options: SignatureOptions, weights: Path | None) -> SignatureStream:
    """The stream with its extractor and its backbone's ImageNet weights from the folder `weights`.

    Raises:
        ConfigError: some are missing or belong to something else.
    """
    signature = Signature(options)
    stream = SignatureStream(options, signature)
    if weights is None:
        return stream
    if signature.extractor is not None:
        noise = options.source == "denoiser"
        folder = find_denoiser(None, weights) if noise else find_extractor(None, weights)
        require_extractor(folder, options.extractor, "noise" if noise else "residual")
        load_extractor_weights(signature.extractor, folder / NETWORK)
    if options.start == "imagenet" and isinstance(stream.backbone, EfficientNetB0):
        load_b0(stream.backbone, weights)
    elif options.start == "imagenet":
        load_weights(stream.backbone.trunk, imagenet_weights(weights))
    return stream
