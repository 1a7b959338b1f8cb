"""A workshop small enough for tests: made-up pictures, a recipe, random starting weights."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from vestige.data.manifest import Row
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig
from vestige.nn.efficientnet_lite import EfficientNetLite0, LiteHead
from vestige.nn.tiny_autoencoder import TinyAutoencoder

# PyTorch's threads spin while they wait for each other: on a busy machine that costs minutes.
torch.set_num_threads(1)

SIDE = 96
NARROW = {"widths": [8, 16], "blocks": [1, 1], "crop": 32}
TOWER = {
    "width": 32,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
EXTRACTOR = {"width": 8, "blocks": 1, "groups": 4}
# The `model` section that makes a large method small.
MODELS: dict[str, dict[str, Any]] = {
    "clip-probe": TOWER,
    "feature-probe": {"features": [{"kind": "clip", "tower": TOWER}]},
    "discriminant": {"features": [{"kind": "clip", "tower": TOWER, "layers": [1]}]},
    "distilled": {"teacher": [{"kind": "clip", "tower": TOWER, "layers": [1]}], "taps": [10]},
    "attribution": {"features": [{"kind": "clip", "tower": TOWER}], "widths": [8, 4]},
    "gensign": {
        "rgb": {"tower": TOWER, "lora": {"layers": 1}},
        # Three blocks of the backbone instead of sixteen: export takes a second, not ten.
        "signature": {"extractor": EXTRACTOR, "form": "plain", "block": 2},
        "width": 16,
    },
    "nirnet": {
        "noise": {
            "extractor": {"filters": 3, "width": 8, "blocks": 1},
            "side": 64,
            "width": 8,
            "difference": {"hidden": 8},
        },
        "semantic": {"features": [{"kind": "clip", "tower": TOWER}]},
        "branch_width": 8,
        "width": 8,
    },
    "gamma": {"tower": {"kind": "clip", "tower": TOWER, "layers": [1, 2]}, "width": 16},
    "npr": NARROW,
    "denoiser-residual": NARROW,
    "cnndet": NARROW,
}


def picture(label: int, rng: np.random.Generator, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Soft blobs; a "generated" one also carries a checkerboard, as bad upsampling leaves it."""
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    pixels += rng.normal(0, 4, pixels.shape)
    if label:
        pixels += 12 * (((np.indices((side, side)) // 2).sum(0) % 2) * 2 - 1)[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_set(folder: Path, groups: int = 2, each: int = 4, seed: int = 0, split: str = "train") -> Path:
    """PNG pictures in `groups` groups of each class, and their manifest; returns the manifest."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "split", "license"])
        for label, kind in ((0, "camera"), (1, "generator")):
            for group in range(groups):
                for number in range(each):
                    name = f"{kind}-{group}-{number}.png"
                    Image.fromarray(picture(label, rng)).save(folder / name)
                    writer.writerow([name, label, f"{kind}-{group}", split, "CC0"])
    return folder / "manifest.csv"


def write_weights(folder: Path) -> Path:
    """Random starting weights under the names that the methods look for; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    trunk, last = EfficientNetLite0(), LiteHead()
    for module in (*trunk.modules(), *last.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # else nothing of the picture arrives at the last blocks
    torch.save(trunk.state_dict() | last.state_dict(), folder / "efficientnet-lite0-random.pth")
    autoencoder = TinyAutoencoder()
    torch.save(autoencoder.encoder.state_dict(), folder / "random_encoder.pth")
    torch.save(autoencoder.decoder.state_dict(), folder / "random_decoder.pth")
    write_extractor(folder / "extractor")
    return folder


def write_extractor(folder: Path) -> None:
    """A random extractor of the size in `MODELS`, as the stage leaves it."""
    folder.mkdir(exist_ok=True)
    extractor = Extractor(ExtractorConfig(**EXTRACTOR))
    save_file(extractor.state_dict(), folder / "network.safetensors")
    record = {"config": {"model": extractor.config.model_dump(), "target": "residual"}}
    (folder / "stage.json").write_text(json.dumps(record))


def write_clip(folder: Path) -> Path:
    """A random CLIP tower of the size in `MODELS`, beside the other starting weights; returns the folder."""
    torch.manual_seed(0)
    tower = ClipTower(ClipTowerConfig(**TOWER))
    save_file(tower.tower.state_dict(), folder / "clip-tiny.safetensors")
    return folder


def rows_of(groups: dict[tuple[int, str], int]) -> list[Row]:
    """Rows without files: so many for each (label, group)."""
    return [
        Row(Path(f"{name}{number}.png"), f"{name}{number}.png", label, name, "train", "")
        for (label, name), size in groups.items()
        for number in range(size)
    ]


def recipe_values(method: str, **sections: Any) -> dict[str, Any]:
    """A recipe that is done in a second; `sections` replace those of the same name."""
    return {
        "method": method,
        "seed": 3,
        "model": MODELS.get(method, {}),
        "data": {"patch": 64, "views": 2},
        "fit": {
            "steps": 6,
            "steps_per_epoch": 2,
            "batch": 8,
            "fresh_learning_rate": 0.02,
            "alternating": {"rounds": 3, "attribution_steps": 2, "classifier_steps": 2},
        },
        "calibration": {"folds": 2, "used": 2},
        "package": {
            "name": f"tiny-{method}",
            "version": "0.1.0",
            "summary": "For tests.",
            "views": 2,
            "minimum_side": 48,
            "failure_modes": ["It knows nothing."],
        },
        **sections,
    }


def write_recipe(path: Path, method: str, **sections: Any) -> Path:
    """The recipe of `recipe_values` as a file."""
    path.write_text(yaml.safe_dump(recipe_values(method, **sections)))
    return path
