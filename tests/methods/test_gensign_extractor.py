"""GenSign's extractor against counts and values by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vestige.methods.gensign.extractor import PAPER, SMALL, Extractor, ExtractorConfig, receptive_field

TINY = ExtractorConfig(width=8, blocks=1, groups=4)
TINY_HALF = ExtractorConfig(width=8, blocks=1, groups=4, stem_stride=2)


def build(config: ExtractorConfig) -> Extractor:
    torch.manual_seed(0)
    network = Extractor(config).eval()
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):  # fresh ones would hide a mix-up
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def count(config: ExtractorConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Extractor(config).parameters())


def test_parameters_of_the_paper() -> None:
    stem = 3 * 64 * 9 + 64 + 2 * 64
    block = 2 * (64 * 64 * 9 + 64 + 2 * 64)
    last = 64 * 3 * 9 + 3
    assert stem + 8 * block + last == 596_547
    assert count(PAPER) == 596_547


def test_parameters_of_the_small_ones() -> None:
    stem = 3 * 32 * 9 + 32 + 2 * 32
    block = 2 * (32 * 32 * 9 + 32 + 2 * 32)
    assert count(SMALL) == stem + 4 * block + 32 * 3 * 9 + 3
    half = SMALL.model_copy(update={"stem_stride": 2})
    assert count(half) == stem + 4 * block + 32 * 12 * 9 + 12


@pytest.mark.parametrize(
    ("config", "per_cell", "cells"),
    [
        (PAPER, 9 * (3 * 64 + 16 * 64 * 64 + 64 * 3), 256**2),
        (SMALL, 9 * (3 * 32 + 8 * 32 * 32 + 32 * 3), 256**2),
        (
            ExtractorConfig(width=32, blocks=4, groups=8, stem_stride=2),
            9 * (3 * 32 + 8 * 32 * 32 + 32 * 12),
            128**2,
        ),
    ],
)
def test_multiplications(config: ExtractorConfig, per_cell: int, cells: int) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Extractor(config)(torch.empty(1, 3, 256, 256))
    assert counter.get_total_flops() == 2 * per_cell * cells
    if config == PAPER:
        assert round(per_cell * cells / 1e9, 1) == 38.9


def group_norm(x: Tensor, groups: int, layer: nn.Module) -> Tensor:
    """By definition, in float64."""
    parts = x.double().numpy().reshape(len(x), groups, -1)
    mean, variance = parts.mean(2, keepdims=True), parts.var(2, keepdims=True)
    normal = torch.from_numpy(((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape))
    return normal * layer.weight.double().view(1, -1, 1, 1) + layer.bias.double().view(1, -1, 1, 1)


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


@pytest.mark.parametrize("config", [TINY, TINY_HALF])
def test_layers_by_hand(config: ExtractorConfig) -> None:
    network = build(config)
    images = torch.rand(2, 3, 11, 14)

    def convolve(x: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
        return F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), stride, 1)

    with torch.inference_mode():
        found = network(images)
        stem, (first, norm, _, second, other) = network.stem, network.blocks[0].layers
        h = gelu(
            group_norm(convolve(2 * images.double() - 1, stem[0], config.stem_stride), config.groups, stem[1])
        )
        inner = gelu(group_norm(convolve(h, first), config.groups, norm))
        h = gelu(group_norm(convolve(inner, second), config.groups, other) + h)
        h = convolve(h, network.last)
        if config.stem_stride == 1:
            expected = h
        else:
            assert h.shape == (2, 12, 6, 7)
            expected = torch.empty(2, 3, 12, 14, dtype=torch.float64)
            for channel in range(3):
                for dy in range(2):
                    for dx in range(2):
                        expected[:, channel, dy::2, dx::2] = h[:, 4 * channel + 2 * dy + dx]
            expected = expected[:, :, :11]
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [TINY, TINY_HALF])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 9), (16, 16), (33, 20)])
def test_size_is_kept(config: ExtractorConfig, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = build(config)(torch.rand(2, 3, *size))
    assert found.shape == (2, 3, *size)
    assert found.isfinite().all()


@pytest.mark.parametrize("config", [TINY, TINY_HALF, ExtractorConfig(width=8, blocks=2, groups=4)])
def test_receptive_field_is_where_the_gradient_is(config: ExtractorConfig) -> None:
    network = build(config)
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for position, layer in enumerate(module):
                if isinstance(layer, nn.GroupNorm):
                    module[position] = nn.Identity()
    images = torch.rand(1, 3, 60, 60, requires_grad=True)
    network(images)[0, :, 30, 30].sum().backward()
    assert images.grad is not None
    rows, columns = images.grad.abs().sum((0, 1)).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == receptive_field(config)
    assert columns.max() - columns.min() + 1 == receptive_field(config)


def test_receptive_field_of_the_paper() -> None:
    assert receptive_field(PAPER) == 1 + 2 * 18  # 18 convolutions of 3 x 3


def test_far_places_act_through_the_normalisation() -> None:
    network = build(TINY)
    images = torch.rand(1, 3, 64, 64)
    changed = images.clone()
    changed[..., 40:, 40:] = 0
    with torch.inference_mode():
        difference = (network(images) - network(changed))[..., :20, :20]
    assert difference.abs().max() > 1e-4


@pytest.mark.parametrize("config", [TINY, TINY_HALF])
def test_images_of_a_batch_do_not_mix(config: ExtractorConfig) -> None:
    network = build(config)
    images = torch.rand(3, 3, 21, 18)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", [TINY, TINY_HALF])
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_flat_pictures(config: ExtractorConfig, grey: float) -> None:
    network = build(config).train()
    found = network(torch.full((2, 3, 16, 16), grey))
    found.square().mean().backward()
    assert found.isfinite().all()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters()
    )


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"width \(10\) must be a multiple of groups \(4\)"):
        ExtractorConfig(width=10, groups=4)
    with pytest.raises(ValidationError, match="depth"):
        ExtractorConfig.model_validate({"depth": 3})
    with pytest.raises(ValidationError, match="stem_stride"):
        ExtractorConfig.model_validate({"stem_stride": 4})
