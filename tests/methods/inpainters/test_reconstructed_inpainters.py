"""Reconstructors as inpainters: which window they see, and what comes back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from vestige.errors import ConfigError
from vestige.methods.inpainters import InpainterOptions, build_inpainters
from vestige.methods.inpainters.reconstructed import Reconstructed
from vestige.methods.inpainters.window import Window, around, bounds
from vestige.methods.reconstructors.base import Reconstructor
from vestige.nn.tiny_autoencoder import TinyAutoencoder

OPTIONS: TypeAdapter[Any] = TypeAdapter(InpainterOptions)


class Inverted(Reconstructor):
    """1 - image; remembers what it was given."""

    def __init__(self, multiple: int = 8, weight: float = 1.0) -> None:
        super().__init__("inverted", "one minus the picture", multiple, "none")
        self.register_buffer("weight", torch.tensor(weight))
        self.seen: list[Tensor] = []
        self.freeze()

    def reconstruct(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return 1 - images


def picture(height: int, width: int) -> Any:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.uint8)


def hole(height: int, width: int, top: int, left: int, bottom: int, right: int) -> Any:
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_small_masks_are_seen_through_a_window_on_the_grid() -> None:
    network, pixels = Inverted(), picture(200, 300)
    made = Reconstructed(network)(pixels, hole(200, 300, 90, 130, 101, 150))
    # 90 - 64 = 26 down to 24, 130 - 64 = 66 down to 64, 101 + 64 = 165 up to 168, 150 + 64 = 214 up to 216.
    inside = pixels[24:168, 64:216]
    (seen,) = network.seen
    assert torch.equal((seen[0] * 255).round().to(torch.uint8), torch.from_numpy(inside).permute(2, 0, 1))
    assert (made[24:168, 64:216] == 255 - inside).all()
    made[24:168, 64:216] = inside
    assert (made == pixels).all()


def test_windows_end_at_the_picture() -> None:
    network, pixels = Inverted(), picture(61, 140)
    before = pixels.copy()
    made = Reconstructed(network)(pixels, hole(61, 140, 0, 100, 61, 140))
    # 61 rows, and columns 100 - 64 = 36 down to 32 up to 140, reflected up to the grid.
    assert network.seen[0].shape == (1, 3, 64, 112)
    assert (made[:, 32:] == 255 - pixels[:, 32:]).all()
    assert (made[:, :32] == pixels[:, :32]).all()
    assert (pixels == before).all()


def test_an_empty_mask_changes_nothing() -> None:
    network, pixels = Inverted(), picture(40, 40)
    made = Reconstructed(network)(pixels, hole(40, 40, 0, 0, 0, 0))
    assert (made == pixels).all()
    assert made is not pixels
    assert not network.seen


def test_the_description_follows_the_weights() -> None:
    first, same, other = (Reconstructed(Inverted(weight=weight)).description for weight in (1.0, 1.0, 2.0))
    assert first == same != other
    assert first.startswith("one minus the picture, ")


boxes = st.tuples(st.integers(0, 59), st.integers(0, 79), st.integers(1, 60), st.integers(1, 80)).filter(
    lambda box: box[0] < box[2] and box[1] < box[3]
)


@given(boxes, st.integers(1, 120))
def test_windows_hold_their_box(box: tuple[int, int, int, int], side: int) -> None:
    top, left, bottom, right = box
    found = bounds(hole(60, 80, top, left, bottom, right))
    assert found == box
    window = around(Window(*box), side, 60, 80)
    assert 0 <= window.top <= top < bottom <= window.bottom <= 60
    assert 0 <= window.left <= left < right <= window.right <= 80
    wanted = max(side, int(1.5 * max(bottom - top, right - left)))
    assert window.bottom - window.top == min(60, wanted)
    assert window.right - window.left == min(80, wanted)


def test_windows_lie_around_the_middle_of_their_box() -> None:
    assert around(Window(100, 200, 120, 240), 100, 1000, 1000) == Window(60, 170, 160, 270)
    assert around(Window(100, 200, 300, 240), 100, 1000, 1000) == Window(50, 70, 350, 370)
    assert around(Window(0, 200, 20, 240), 100, 1000, 1000) == Window(0, 170, 100, 270)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    network = TinyAutoencoder()
    torch.save(network.encoder.state_dict(), tmp_path / "taeany_encoder.pth")
    torch.save(network.decoder.state_dict(), tmp_path / "taeany_decoder.pth")
    return tmp_path


def test_inpainters_have_the_names_of_their_reconstructors(weights: Path) -> None:
    options = OPTIONS.validate_python({"kind": "tiny-autoencoder", "name": "taesd"})
    built = build_inpainters([options], weights)
    assert list(built) == ["taesd"]
    pixels, mask = picture(48, 56), hole(48, 56, 10, 10, 20, 30)
    made = built["taesd"](pixels, mask)
    assert made.dtype == np.uint8
    assert made.shape == pixels.shape
    assert (made == built["taesd"](pixels, mask)).all()
    # Without the code under test; the window is everything.
    network = TinyAutoencoder.load(weights / "taeany_encoder.pth", weights / "taeany_decoder.pth").eval()
    with torch.no_grad():
        wanted = network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255).clamp(0, 1)[0]
    assert np.abs(made - wanted.permute(1, 2, 0).numpy() * 255).max() <= 0.51


def test_refusals(weights: Path) -> None:
    options = OPTIONS.validate_python({"kind": "tiny-autoencoder"})
    with pytest.raises(ConfigError, match="several inpainters are called tiny-autoencoder; name each"):
        build_inpainters([options, options], weights)
    with pytest.raises(ConfigError, match="needs a folder of starting weights"):
        build_inpainters([options], None)
    with pytest.raises(ValidationError, match="kind"):
        OPTIONS.validate_python({"kind": "magic"})
    assert build_inpainters([], None) == {}
