"""Batches of crops: numbered, repeatable, drawn by the root of the groups' sizes."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.progress import Progress
from vestige.training import pictures as module
from vestige.training.pictures import CropBatches, Pictures, middle_crops


def write(folder: Path, sizes: list[tuple[int, int]], groups: list[str] | None = None) -> Pictures:
    """A picture for each (height, width), grey value = its number, rows and columns in the other channels."""
    rows = []
    for number, (height, width) in enumerate(sizes):
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        pixels[..., 0] = number
        pixels[..., 1] = np.arange(height)[:, None]
        pixels[..., 2] = np.arange(width)
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        rows.append(Row(path, path.name, 0, groups[number] if groups else str(number)))
    return Pictures(rows)


def test_a_batch_follows_from_seed_and_number(tmp_path: Path) -> None:
    pictures = write(tmp_path, [(50, 60)] * 6)
    batches = CropBatches(pictures, 4, 32, seed=3, first=10, count=5)
    assert len(batches) == 5
    again = CropBatches(Pictures(pictures.rows), 4, 32, seed=3, first=12, count=1)
    number, batch = again[0]
    assert number == 12
    assert torch.equal(batch, batches[2][1])
    assert torch.equal(batches[2][1], batches[2][1])
    others = [batches[index][1] for index in (0, 1, 3, 4)]
    assert not any(torch.equal(batch, other) for other in others)
    assert not torch.equal(batch, CropBatches(pictures, 4, 32, seed=4, first=12, count=1)[0][1])


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_gives_the_same_with_workers(tmp_path: Path, workers: int) -> None:
    batches = CropBatches(write(tmp_path, [(50, 60)] * 6), 4, 32, seed=3, first=2, count=4)
    loader = DataLoader(batches, batch_size=None, sampler=range(1, 4, 2), num_workers=workers)
    found = [(int(number), batch) for number, batch in loader]
    assert [number for number, _ in found] == [3, 5]
    assert all(torch.equal(batch, batches[number - 2][1]) for number, batch in found)


def test_crops_are_unscaled_cuts_all_over_the_picture(tmp_path: Path) -> None:
    batches = CropBatches(write(tmp_path, [(40, 56)]), 8, 32, seed=0, count=40)
    tops, lefts, mirrored = Counter[int](), Counter[int](), 0
    for index in range(40):
        _, batch = batches[index]
        assert batch.shape == (8, 3, 32, 32)
        assert batch.dtype == torch.uint8
        for crop in batch.int():
            top, columns = int(crop[1, 0, 0]), crop[2, 0]
            backwards = bool(columns[0] > columns[-1])
            left = int(columns.min())
            wide = torch.arange(left, left + 32)
            assert (crop[1] == torch.arange(top, top + 32)[:, None]).all()
            assert (crop[2] == (wide.flip(0) if backwards else wide)).all()
            tops[top] += 1
            lefts[left] += 1
            mirrored += backwards
    assert set(tops) == set(range(9))
    assert set(lefts) == set(range(25))
    assert 120 < mirrored < 200  # half of 320


def test_groups_are_drawn_by_the_root_of_their_size(tmp_path: Path) -> None:
    groups = ["large"] * 16 + ["small"] * 4 + ["single"]
    pictures = write(tmp_path, [(32, 32)] * 21, groups)
    batches = CropBatches(pictures, 100, 32, seed=1, count=30)
    drawn = Counter[str]()
    each = Counter[int]()
    for index in range(30):
        numbers = batches[index][1][:, 0, 0, 0].tolist()
        drawn.update(groups[number] for number in numbers)
        each.update(numbers)
    for group, share in (("large", 4 / 7), ("small", 2 / 7), ("single", 1 / 7)):  # roots of 16, 4, 1
        assert drawn[group] / 3000 == pytest.approx(share, abs=0.03)
    assert set(each) == set(range(21))


def test_same_name_in_both_classes_is_two_groups(tmp_path: Path) -> None:
    pictures = write(tmp_path, [(32, 32)] * 5, ["same"] * 5)
    rows = [
        Row(row.path, row.name, label, row.group)
        for row, label in zip(pictures.rows, (0, 0, 0, 0, 1), strict=True)
    ]
    weights = CropBatches(Pictures(rows), 1, 32, seed=0).weights
    np.testing.assert_allclose(weights, [1 / 6] * 4 + [2 / 6])


def test_a_smaller_picture_is_reflected(tmp_path: Path) -> None:
    batches = CropBatches(write(tmp_path, [(64, 64), (20, 40)]), 2, 48, seed=0, count=30)
    small = 0
    for index in range(30):
        _, batch = batches[index]
        assert batch.shape == (2, 3, 48, 48)
        for crop in batch[batch[:, 0, 0, 0] == 1]:
            # Rows 0-19 of the picture, and below them the same rows upwards.
            assert crop[1, :, 0].tolist() == [*range(20), *range(19, -1, -1), *range(8)]
            small += 1
    assert small


def test_unreadable_pictures_are_named_before_training(tmp_path: Path) -> None:
    pictures = write(tmp_path, [(32, 32)] * 3)
    (tmp_path / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"1\.png"):
        pictures.fill(Progress())
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png"):
        pictures.fill(Progress())


def test_pictures_are_kept_as_long_as_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * 32 * 32 * 3)
    read = Counter[str]()
    original = module.read_pixels

    def counting(source: Path, name: str) -> np.ndarray:
        read[name] += 1
        return original(source, name)

    monkeypatch.setattr(module, "read_pixels", counting)
    pictures = Pictures(write(tmp_path, [(32, 32)] * 3).rows)
    pictures.fill(Progress())
    for _ in range(2):
        for index in range(3):
            assert (pictures[index][..., 0] == index).all()
    assert read["0.png"] == read["1.png"] == 1
    assert read["2.png"] >= 2


def test_middle_crops(tmp_path: Path) -> None:
    pictures = write(tmp_path, [(40, 50)] * 10)
    crops = middle_crops(pictures, 32, 4)
    assert crops.shape == (4, 3, 32, 32)
    assert crops.dtype == torch.uint8
    assert crops[:, 0, 0, 0].tolist() == [0, 3, 6, 9]  # evenly, from the first to the last
    assert (crops[:, 1, :, 0] == torch.arange(4, 36)).all()
    assert (crops[:, 2, 0] == torch.arange(9, 41)).all()
    assert len(middle_crops(pictures, 32, 99)) == 10


def test_middle_of_a_smaller_picture_is_reflected(tmp_path: Path) -> None:
    crops = middle_crops(write(tmp_path, [(20, 40), (7, 5)]), 32, 2)
    assert crops.shape == (2, 3, 32, 32)
    assert crops[0, 1, :, 0].tolist() == [*range(20), *range(19, 7, -1)]
    assert crops[0, 2, 0].tolist() == list(range(4, 36))
    assert crops[1, 2, 0].tolist()[:11] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0]
