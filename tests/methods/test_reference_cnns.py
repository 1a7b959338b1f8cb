"""References with a small ResNet: their residuals against other derivations, crops, exact grey levels."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError
from scipy.signal import wiener

from vestige.methods import registry
from vestige.methods.references.cnn import CnnConfig, ResidualCnn
from vestige.methods.references.cnndet import CnnDet, CnnDetConfig
from vestige.methods.references.denoiser_residual import NOISE, WINDOW, DenoiserResidual
from vestige.methods.references.npr import Npr

SMALL = CnnConfig(widths=(8, 16), blocks=(1, 1), crop=32)


def grey_levels(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def residual(network: ResidualCnn, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        found: npt.NDArray[np.float32] = network.residual(torch.from_numpy(pixels)).numpy()
    return found


@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 12), (8, 11), (7, 7)])
def test_npr_by_loops(height: int, width: int) -> None:
    pixels = grey_levels(2, 3, height, width)
    found = residual(Npr(SMALL), pixels)
    assert found.shape == (2, 3, height // 2 * 2, width // 2 * 2)
    for row in range(found.shape[2]):
        for column in range(found.shape[3]):
            corner = pixels[..., row - row % 2, column - column % 2]
            np.testing.assert_allclose(found[..., row, column], (pixels[..., row, column] - corner) / 8)


def test_npr_sees_nothing_in_a_picture_doubled_by_repetition() -> None:
    blocky = grey_levels(1, 3, 16, 16).repeat(2, 2).repeat(2, 3)
    assert not residual(Npr(SMALL), blocky).any()
    assert residual(Npr(SMALL), np.ascontiguousarray(blocky[..., 1:, 1:])).any(), (
        "cells that lie across the grid"
    )


def soft_picture(seed: int) -> npt.NDArray[np.float32]:
    """Smooth and rough parts: local variances on both sides of the noise's."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(60, 120, 40)[None, :] * np.linspace(0.2, 1, 32)[:, None]
    noise = rng.normal(0, 1, (3, 32, 40)) * np.linspace(0, 9, 40)
    return np.clip(np.rint(ramp + noise), 0, 255).astype(np.float32)[None]


@pytest.mark.parametrize("seed", [0, 1])
def test_wiener_residual_is_scipys(seed: int) -> None:
    # scipy: where the local variance v is below the noise n the local mean m, else m + (1 - n / v)(x - m); at
    # the edges it pads with zeros, the network mirrors, so only the inner part can agree.
    pixels = soft_picture(seed)
    found = residual(DenoiserResidual(SMALL), pixels)
    inner = (slice(WINDOW // 2, -(WINDOW // 2)),) * 2
    flat = 0.0
    for channel in range(3):
        exact = pixels[0, channel].astype(np.float64)
        expected = (exact - wiener(exact, WINDOW, noise=NOISE)) / 2
        np.testing.assert_allclose(found[0, channel][inner], expected[inner], atol=2e-3)
        averaged = exact - 2 * expected
        flat += float((np.abs(averaged - wiener(exact, WINDOW, noise=1e9)) < 1e-9)[inner].mean()) / 3
    assert 0.1 < flat < 0.9, "both branches of the formula are at work"


def test_wiener_residual_of_flat_and_bright_pictures() -> None:
    flat = np.stack([np.full((3, 16, 16), level, dtype=np.float32) for level in (0, 128, 255)])
    assert np.abs(residual(DenoiserResidual(SMALL), flat)).max() < 1e-4


def test_cnndet_sees_the_picture_itself() -> None:
    levels = np.array([0, 127.5, 255], dtype=np.float32)
    found = residual(CnnDet(CnnDetConfig(widths=(8,), blocks=(1,))), np.tile(levels, (1, 3, 3, 1)))
    np.testing.assert_allclose(found[0, 0, 0], [-1.9921875, 0, 1.9921875])


@pytest.fixture(params=["npr", "denoiser-residual", "cnndet"])
def network(request: pytest.FixtureRequest) -> ResidualCnn:
    method = registry.get(request.param)
    torch.manual_seed(0)
    built = method.build(method.config.model_validate(SMALL.model_dump() | {"dropout": 0.0}), None)
    assert isinstance(built, ResidualCnn)
    return built


def test_grey_levels_pass_the_cache_unchanged(network: ResidualCnn) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    (kept,) = network.frozen(levels.float() / 255)
    assert torch.equal(kept.half().float(), levels.float())
    with torch.autocast("cpu", torch.bfloat16):
        (rounded,) = network.frozen(levels.float() / 255)
    assert torch.equal(rounded.float(), levels.float())


def seen(network: ResidualCnn, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """What `head` hands on to `embed`."""
    given: list[torch.Tensor] = []
    embed = network.embed
    with monkeypatch.context() as patch:
        patch.setattr(network, "embed", lambda images: (given.append(images), embed(images))[1])
        with torch.inference_mode():
            network.head(pictures)
    return given[0]


def test_training_crops_follow_the_seed(network: ResidualCnn, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.from_numpy(grey_levels(2, 3, 64, 48))
    network.train()

    def crop(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return seen(network, pictures, monkeypatch)

    crops = [crop(seed) for seed in range(8)]
    assert all(one.shape == (2, 3, 32, 32) for one in crops)
    assert len({one.numpy().tobytes() for one in crops}) > 4
    assert torch.equal(crop(3), crops[3])
    windows = pictures.unfold(2, 32, 1).unfold(3, 32, 1)  # [2, 3, 33, 17, 32, 32]
    mirrored = [not (windows == one[:, :, None, None]).flatten(4).all(4).all(0).all(0).any() for one in crops]
    assert set(mirrored) == {True, False}
    for one, flipped in zip(crops, mirrored, strict=True):
        upright = one.flip(-1) if flipped else one
        assert (windows == upright[:, :, None, None]).flatten(4).all(4).all(0).all(0).any(), "a part of it"


def test_small_views_are_cropped_to_a_square(network: ResidualCnn, monkeypatch: pytest.MonkeyPatch) -> None:
    given = seen(network.train(), torch.from_numpy(grey_levels(2, 3, 24, 28)), monkeypatch)
    assert given.shape == (2, 3, 24, 24)


def test_evaluation_sees_the_whole_view(network: ResidualCnn, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.from_numpy(grey_levels(2, 3, 64, 48))
    assert torch.equal(seen(network.eval(), pictures, monkeypatch), pictures)


def test_options() -> None:
    with pytest.raises(ValidationError, match="crop"):
        CnnConfig(crop=16)
    with pytest.raises(ValidationError, match=r"\(8, 16\) and blocks \(1,\) must be of the same length"):
        CnnConfig(widths=(8, 16), blocks=(1,))
    config = CnnDetConfig()
    network = registry.get("cnndet").build(config, None)
    assert network.trunk.stem.kernel_size == (7, 7)
    assert network.linear.in_features == config.widths[-1] == 256
