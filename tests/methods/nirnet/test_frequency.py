"""NIRNet's frequency statistics against scipy, Pillow and pictures whose spectrum is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from scipy.fft import dctn

from vestige.methods.nirnet.frequency import FrequencyOptions, FrequencyStatistics
from vestige.nn.radial_profile import RadialProfile

torch.set_num_threads(1)

NOTHING = np.log(0.01)


def by_scipy(plane: np.ndarray, block: int) -> np.ndarray:
    """[S, S] in grey levels -> log energies [block^2, blocks]."""
    plane = plane - plane.mean()
    found = [
        dctn(plane[top : top + block, left : left + block], norm="ortho").ravel()
        for top in range(0, len(plane) - block + 1, block)
        for left in range(0, len(plane) - block + 1, block)
    ]
    return np.log(np.square(found).T + 0.01)


@pytest.mark.parametrize("block", [4, 8, 16])
def test_all_of_it_is_scipys(block: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    levels[1] //= 16  # dark, with weak bands
    images = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
    statistics = FrequencyStatistics(FrequencyOptions(block=block))
    found = statistics(images).numpy()
    assert found.shape == (2, statistics.width)
    assert found.dtype == np.float32
    for number in range(2):
        red, green, blue = levels[number].transpose(2, 0, 1).astype(np.float64)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        energies = by_scipy(luma, block)
        cb = by_scipy((blue - luma) / 1.772, block).mean(1)
        cr = by_scipy((red - luma) / 1.402, block).mean(1)
        expected = np.concatenate([energies.mean(1), energies.std(1), cb, cr])
        np.testing.assert_allclose(found[number, : 4 * block**2], expected, atol=2e-3)
    np.testing.assert_allclose(found[:, 4 * block**2 :], RadialProfile()(images), atol=1e-6)


def test_colours_are_those_of_a_jpeg() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(levels).convert("YCbCr"), dtype=np.float64).transpose(2, 0, 1)
    colours = FrequencyStatistics(FrequencyOptions()).colours[..., 0, 0].numpy()
    ours = np.einsum("pc,hwc->phw", colours, levels) + np.array([0, 128, 128])[:, None, None]
    assert np.abs(ours - theirs).max() < 1.01  # Pillow cuts to whole levels


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (0.2, 0.7, 0.4), (1.0, 1.0, 1.0)])
def test_a_constant_picture_has_no_energy(colour: tuple[float, ...]) -> None:
    images = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    found = FrequencyStatistics(FrequencyOptions(radial=False))(images)[0].numpy()
    means, deviations, chroma = found[:64], found[64:128], found[128:]
    np.testing.assert_allclose(means, NOTHING, atol=1e-3)
    np.testing.assert_allclose(deviations, 0, atol=1e-3)
    np.testing.assert_allclose(chroma, NOTHING, atol=1e-3)


@pytest.mark.parametrize(("row", "column"), [(0, 3), (5, 0), (2, 7)])
def test_a_cosine_is_one_band(row: int, column: int) -> None:
    place = np.arange(64) % 8  # each block alike
    wave = np.outer(np.cos(np.pi * (2 * place + 1) * row / 16), np.cos(np.pi * (2 * place + 1) * column / 16))
    images = torch.from_numpy(0.5 + 20 / 255 * wave).float().expand(1, 3, 64, 64)
    found = FrequencyStatistics(FrequencyOptions(radial=False))(images)[0].numpy()
    # Along a side a cosine of amplitude 1 has the norm sqrt(4), a constant sqrt(8): in 8 pixels.
    expected = np.full(64, NOTHING)
    expected[8 * row + column] = np.log((20**2) * (8 if row == 0 else 4) * (8 if column == 0 else 4) + 0.01)
    np.testing.assert_allclose(found[:64], expected, atol=2e-3)
    np.testing.assert_allclose(found[128:], NOTHING, atol=2e-3)


def test_brightness_and_tint_do_not_show() -> None:
    images = torch.rand(1, 3, 64, 64) * 0.5
    statistics = FrequencyStatistics(FrequencyOptions())
    moved = images + torch.tensor([0.4, 0.1, 0.25]).view(1, 3, 1, 1)
    torch.testing.assert_close(statistics(moved), statistics(images), atol=2e-3, rtol=0)


def test_blocks_begin_in_the_upper_left_corner() -> None:
    images = torch.rand(1, 3, 96, 96)
    statistics = FrequencyStatistics(FrequencyOptions(radial=False))
    whole = statistics.energies(images)
    changed = images.clone()
    changed[..., 8:16, 16:24] = torch.rand(1, 3, 8, 8)
    changed = changed + (images - changed).mean((2, 3), keepdim=True)  # the same mean
    differs = (statistics.energies(changed) - whole).abs().amax((0, 1, 2))
    assert differs[1, 2] > 1
    differs[1, 2] = 0
    # Elsewhere only DC moved, by what was added.
    assert (statistics.energies(changed) - whole)[:, :, 1:, 0, 0].abs().max() < 0.05


@pytest.mark.parametrize("radial", [True, False])
@pytest.mark.parametrize("chroma", [True, False])
def test_options_decide_width_and_description(radial: bool, chroma: bool) -> None:
    statistics = FrequencyStatistics(FrequencyOptions(radial=radial, chroma=chroma))
    whole = FrequencyStatistics(FrequencyOptions())
    images = torch.rand(2, 3, 64, 64)
    found = statistics(images)
    assert found.shape == (2, statistics.width)
    kept = [slice(0, 128)] + [slice(128, 256)] * chroma + [slice(256, 320)] * radial
    torch.testing.assert_close(found, torch.cat([whole(images)[:, part] for part in kept], 1))
    assert (statistics.description == whole.description) == (radial and chroma)
    assert statistics.description != FrequencyStatistics(FrequencyOptions(block=4)).description
    assert not statistics.state_dict()


def test_autocast_changes_nothing() -> None:
    statistics = FrequencyStatistics(FrequencyOptions())
    images = torch.rand(2, 3, 64, 64)
    expected = statistics(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(statistics(images), expected)


def test_values_are_at_home_in_float16() -> None:
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    flat, noise = torch.full((1, 3, 64, 64), 0.5), torch.rand(1, 3, 64, 64)
    found = FrequencyStatistics(FrequencyOptions())(torch.cat([stripes, flat, noise]))
    assert found.abs().max() < 20
    torch.testing.assert_close(found.half().float(), found, atol=1e-2, rtol=0)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        FrequencyOptions.model_validate({"colour": True})
    with pytest.raises(ValidationError, match="block"):
        FrequencyOptions(block=1)
