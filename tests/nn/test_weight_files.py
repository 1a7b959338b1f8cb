"""Weights of others: what fits is loaded, what does not is named."""

from pathlib import Path

import pytest
import torch
from torch import nn

from vestige.errors import ConfigError
from vestige.nn.weights import load_weights


def test_superfluous_tensors_are_left_out(tmp_path: Path) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save(source.state_dict() | {"classifier.weight": torch.zeros(9)}, tmp_path / "a.pth")
    load_weights(target, tmp_path / "a.pth")
    assert torch.equal(target.weight, source.weight)


@pytest.mark.parametrize(
    "content",
    [{"weight": torch.zeros(2, 3)}, {"weight": torch.zeros(2, 3), "bias": torch.zeros(7)}, [1, 2], 5],
)
def test_other_networks_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"a\.pth: not the weights wanted, (bias \(2,\)|weight)"):
        load_weights(nn.Linear(3, 2), tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"junk", b"no weights at all", b"\x80\x02junk", b"PK\x03\x04junk"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.pth: cannot be read as weights"):
        load_weights(nn.Linear(3, 2), path)
    with pytest.raises(ConfigError, match=r"absent\.pth: cannot be read as weights"):
        load_weights(nn.Linear(3, 2), tmp_path / "absent.pth")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "written"), "w")  # type: ignore[return-value]

    torch.save(Evil(), tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"a\.pth: cannot be read as weights"):
        load_weights(nn.Linear(3, 2), tmp_path / "a.pth")
    assert not (tmp_path / "written").exists()
