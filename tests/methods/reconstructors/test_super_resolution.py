"""Networks in ncnn's format: compared with PyTorch, borders, hashes, and files that are something else."""

import hashlib
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from reconstructor_samples import images, one, write_convolved, write_nearest

from vestige.errors import ConfigError

CLASSIFIER = """7767517
2 2
Input input 0 1 data
Pooling pool 1 1 data output 0=1 4=1
"""
TWO_INPUTS = """7767517
3 3
Input input 0 1 data
Input other 0 1 more
BinaryOp add 2 1 data more output 0=0
"""


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_repeated_pixels_of_the_reduced_picture(tmp_path: Path, scale: int) -> None:
    write_nearest(tmp_path / "deep" / "er", scale=scale)
    network = one(tmp_path, kind="super-resolution", model="nearest", scale=scale)
    # 7 and 11: rows of the reduced picture that no alignment of memory fits.
    pictures = images(2, 3, 7 * scale, 11 * scale)
    small = F.interpolate(pictures, scale_factor=1 / scale, mode="bicubic", antialias=True).clamp(0, 1)
    wanted = small.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.allclose(network(pictures), wanted, atol=1e-6)
    assert network.multiple == scale


def test_flat_pictures_come_back(tmp_path: Path) -> None:
    write_nearest(tmp_path)
    network = one(tmp_path, kind="super-resolution", model="nearest", scale=2)
    # Three levels: neither the reduction nor the order of channels changes them.
    pictures = torch.tensor([0.0, 0.3, 1.0]).view(1, 3, 1, 1).expand(1, 3, 11, 12)
    assert torch.allclose(network(pictures), pictures, atol=1e-6)


def test_what_a_network_eats_at_the_edges_is_reflected(tmp_path: Path) -> None:
    same = write_convolved(tmp_path)
    network = one(tmp_path, kind="super-resolution", model="convolved", scale=2)
    pictures = images(2, 3, 18, 22)
    small = F.interpolate(pictures, size=(9, 11), mode="bicubic", antialias=True).clamp(0, 1)
    wanted = same(F.pad(small, (2, 2, 2, 2), mode="reflect")).clamp(0, 1)
    assert torch.allclose(network(pictures), wanted, atol=1e-5)
    assert wanted.std() > 0.01


def test_the_state_follows_both_files(tmp_path: Path) -> None:
    def state() -> torch.Tensor:
        found = one(tmp_path, kind="super-resolution", model="convolved", scale=2).state_dict()
        assert list(found) == ["sha256"]
        return found["sha256"]

    write_convolved(tmp_path)
    first = state()
    assert first.dtype == torch.uint8
    for row, suffix in zip(first, ("param", "bin"), strict=True):
        content = (tmp_path / f"convolved.{suffix}").read_bytes()
        assert bytes(row.tolist()) == hashlib.sha256(content).digest()
    assert torch.equal(state(), first)
    write_convolved(tmp_path, seed=4)
    second = state()
    assert torch.equal(second[0], first[0])
    assert not torch.equal(second[1], first[1])
    param = tmp_path / "convolved.param"
    param.write_text(param.read_text().replace("enlarge", "bigger"))
    assert not torch.equal(state()[0], first[0])


def test_name_and_source(tmp_path: Path) -> None:
    write_nearest(tmp_path)
    plain = one(tmp_path, kind="super-resolution", model="nearest", scale=2)
    assert plain.name == "nearest"
    assert "nearest" in plain.weights_note
    told = one(tmp_path, kind="super-resolution", model="nearest", scale=2, name="sr", source="Ours, MIT")
    assert (told.name, told.weights_note) == ("sr", "Ours, MIT")


def test_files_that_are_missing_or_there_twice(tmp_path: Path) -> None:
    def build() -> None:
        one(tmp_path, kind="super-resolution", model="nearest", scale=2)

    with pytest.raises(ConfigError, match=r"no nearest\.param there"):
        build()
    write_nearest(tmp_path / "a")
    (tmp_path / "a" / "nearest.bin").unlink()
    with pytest.raises(ConfigError, match=r"nearest\.bin: no such file; .* a \.param and a \.bin"):
        build()
    write_nearest(tmp_path / "a")
    write_nearest(tmp_path / "b")
    with pytest.raises(ConfigError, match=r"nearest\.param is there 2 times \(.*a.nearest.*b.nearest"):
        build()


@pytest.mark.parametrize(
    ("param", "sentence"),
    [
        ("", r"m\.param: cannot be read as part of a network in ncnn's format"),
        ("7767517\n2 2\nInput input 0 1 data\nUnheard layer 1 1 data output\n", r"m\.param: cannot be read"),
        ("7767517\n3 3\nInput input 0 1 data\n", r"m\.param: cannot be read"),
        (TWO_INPUTS, r"m\.param: 2 inputs and 1 outputs, wanted one picture in and one out"),
        (CLASSIFIER, r"m\.param: does not enlarge pictures by 2, it makes \(3,\) of \(3, 32, 40\)"),
    ],
)
def test_foreign_layers(tmp_path: Path, param: str, sentence: str) -> None:
    (tmp_path / "m.param").write_text(param)
    (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=sentence):
        one(tmp_path, kind="super-resolution", model="m", scale=2)


def test_weights_that_end_early(tmp_path: Path) -> None:
    write_convolved(tmp_path)
    binary = tmp_path / "convolved.bin"
    binary.write_bytes(binary.read_bytes()[:-8])
    with pytest.raises(ConfigError, match=r"convolved\.bin: cannot be read as part of a network"):
        one(tmp_path, kind="super-resolution", model="convolved", scale=2)


@pytest.mark.parametrize("scale", [3, 4])
def test_another_scale_than_said(tmp_path: Path, scale: int) -> None:
    write_nearest(tmp_path, scale=2)
    with pytest.raises(ConfigError, match=rf"does not enlarge pictures by {scale}, it makes \(3, 64, 80\)"):
        one(tmp_path, kind="super-resolution", model="nearest", scale=scale)
    write_nearest(tmp_path, scale=4)
    with pytest.raises(ConfigError, match="does not enlarge pictures by 2"):
        one(tmp_path, kind="super-resolution", model="nearest", scale=2)


def test_the_package_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nearest(tmp_path)
    monkeypatch.setitem(sys.modules, "ncnn", None)
    with pytest.raises(ConfigError, match=r"needs the package ncnn.*pip install 'vestige\[reconstructors\]'"):
        one(tmp_path, kind="super-resolution", model="nearest", scale=2)
