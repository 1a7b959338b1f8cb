"""Inpainting through diffusers, on a tiny random pipeline: determinism, windows, and what is refused."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_pipeline import SIDE, write_pipeline

from vestige.errors import ConfigError, DataError
from vestige.methods.inpainters import build_inpainters
from vestige.methods.inpainters.diffusers_pipeline import DiffusersInpaintingOptions, PipelineInpainter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pipeline(tmp_path_factory.mktemp("tiny"))


def built(folder: Path | str, **options: Any) -> Any:
    entry = DiffusersInpaintingOptions(hub=str(folder), **{"steps": 2, "side": SIDE, **options})
    (inpaint,) = build_inpainters([entry], None).values()
    return inpaint


@pytest.fixture
def pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3)).astype(np.uint8)


@pytest.fixture
def mask() -> Any:
    found = np.zeros((70, 90), bool)
    found[20:40, 30:60] = True
    return found


def test_only_the_mask_is_painted_and_always_alike(folder: Path, pixels: Any, mask: Any) -> None:
    before = pixels.copy()
    first = built(folder)(pixels, mask)
    assert first.dtype == np.uint8
    assert (first[~mask] == pixels[~mask]).all()
    assert (first[mask] != pixels[mask]).mean() > 0.5
    assert (pixels == before).all()
    assert (built(folder)(pixels, mask) == first).all()
    assert (built(folder, seed=1)(pixels, mask) != first).any()
    assert (built(folder, guidance=1, prompt="a cat")(pixels, mask) != first).any()


def test_an_empty_mask_asks_nothing(folder: Path, pixels: Any, mask: Any) -> None:
    assert (built(folder)(pixels, mask & False) == pixels).all()


def test_names(folder: Path) -> None:
    assert DiffusersInpaintingOptions(hub="somebody/a model").called == "a-model"
    assert DiffusersInpaintingOptions(hub="x", name="mine").called == "mine"
    assert "seed" in built(folder).description


class Recorder:
    """Stands in for a pipeline: paints white, and remembers what it was asked."""

    def __init__(self, withheld: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self.withheld = withheld

    def __call__(self, **asked: Any) -> Any:
        self.asked.append(asked)
        image = np.ones((1, asked["height"], asked["width"], 3), np.float32)
        return SimpleNamespace(images=image, nsfw_content_detected=[len(self.asked) <= self.withheld])


def recorded(withheld: int = 0, **options: Any) -> tuple[Recorder, PipelineInpainter]:
    pipeline = Recorder(withheld)
    return pipeline, PipelineInpainter(pipeline, DiffusersInpaintingOptions(hub="x", **options))


@pytest.mark.parametrize(
    ("shape", "box", "given"),
    [
        ((600, 800), (290, 390, 310, 410), (512, 512)),  # a native window
        ((200, 300), (90, 90, 110, 110), (512, 344)),  # the whole picture, enlarged: 341.3 to the grid of 8
        ((1000, 1000), (0, 0, 900, 600), (512, 512)),  # all of it, reduced
    ],
)
def test_what_the_pipeline_is_given(
    shape: tuple[int, int], box: tuple[int, int, int, int], given: tuple[int, int]
) -> None:
    pipeline, inpaint = recorded()
    pixels, mask = np.full((*shape, 3), 90, np.uint8), np.zeros(shape, bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    made = inpaint(pixels, mask)
    assert (made[mask] == 255).all()
    assert (made[~mask] == 90).all()
    (asked,) = pipeline.asked
    assert asked["image"].size == asked["mask_image"].size == given == (asked["width"], asked["height"])
    levels = np.asarray(asked["mask_image"])
    assert set(np.unique(levels)) == {0, 255}
    scale = given[0] / min(shape[1], max(512, int(1.5 * (box[2] - box[0]))))
    assert mask.sum() * scale**2 <= (levels == 255).sum() * 1.02


def test_withheld_pictures_are_painted_anew_and_never_taken() -> None:
    pixels, mask = np.full((64, 64, 3), 90, np.uint8), np.eye(64, dtype=bool)
    pipeline, inpaint = recorded(withheld=2)
    assert (inpaint(pixels, mask)[mask] == 255).all()
    seeds = [asked["generator"].initial_seed() for asked in pipeline.asked]
    assert len(set(seeds)) == 3
    _, inpaint = recorded(withheld=99)
    with pytest.raises(DataError, match="x: the pipeline's safety checker withheld what it painted, 4 times"):
        inpaint(pixels, mask)


def test_noise_differs_from_picture_to_picture() -> None:
    pipeline, inpaint = recorded()
    pixels, mask = np.full((64, 64, 3), 90, np.uint8), np.eye(64, dtype=bool)
    for one, where in ((pixels, mask), (pixels, mask), (pixels + 1, mask), (pixels, ~mask)):
        inpaint(one, where)
    seeds = [asked["generator"].initial_seed() for asked in pipeline.asked]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3


def test_refusals(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no inpainting pipeline .* can be had"):
        built(tmp_path)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ConfigError, match=r"pip install 'vestige\[reconstructors\]'"):
        built(folder)
