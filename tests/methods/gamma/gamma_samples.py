"""Tiny towers and networks for the tests of GAMMA."""

from typing import Any

import torch
from torch import Tensor, nn

from vestige.methods.gamma.model import Gamma, GammaConfig, build
from vestige.methods.gamma.towers import ClipOptions, EfficientNetOptions, Tower, TowerOptions, build_tower

SHAPE = {
    "width": 32,
    "layers": 3,
    "heads": 2,
    "feed_forward": 48,
    "patch": 16,
    "image": 64,
    "projection": 16,
}


def clip(**options: Any) -> ClipOptions:
    return ClipOptions.model_validate({"tower": SHAPE, "layers": (1, 2), **options})


def lite(**options: Any) -> EfficientNetOptions:
    return EfficientNetOptions.model_validate({"block": 5, **options})


def tower(options: TowerOptions, seed: int = 0) -> Tower:
    """With weights large enough for every layer to matter; low-rank updates and statistics, too."""
    torch.manual_seed(seed)
    return stirred(build_tower(options, None))


def network(seed: int = 0, **options: Any) -> Gamma:
    torch.manual_seed(seed)
    config = GammaConfig.model_validate({"tower": clip(), "width": 16, "blocks": 1, **options})
    return stirred(build(config, None))


def stirred(module: Any) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    return module.eval()


def images(count: int = 3, side: int = 64, seed: int = 1) -> Tensor:
    """Whole grey levels, which the cache keeps exactly."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator).float() / 255


def truth(count: int = 3, side: int = 64) -> Tensor:
    return torch.rand(count, 2, side // 8, side // 8, generator=torch.Generator().manual_seed(2))
