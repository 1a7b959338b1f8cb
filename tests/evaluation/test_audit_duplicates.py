"""Duplicates, near-duplicates and leakage between splits."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from audit_sets import Plan, encoded, picture_of, write_set
from PIL import Image

from vestige.data.manifest import Row
from vestige.evaluation.audit import Finding, run_audit
from vestige.evaluation.audit.leakage import find_leakage
from vestige.evaluation.audit.measure import RECORD
from vestige.evaluation.audit.near import candidates, near_duplicates, verify


def audited(rows: list[Row]) -> dict[str, Finding]:
    return {finding.code: finding for finding in run_audit(rows, name="made").findings}


def place(folder: Path, name: str, data: bytes, label: int, split: str = "", **more: str) -> Row:
    (folder / name).write_bytes(data)
    return Row(folder / name, name, label, f"group-{name}", split, **more)  # type: ignore[arg-type]


def photo(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    plan = Plan(*size, format="JPEG", quality=90, exif=False)
    return picture_of(plan, np.random.default_rng(seed))


def sections(found: dict[str, Finding], codes: Sequence[str]) -> list[str]:
    return [found[code].section for code in codes]


EXACT = ("VA201", "VA202", "VA203")
NEAR = ("VA204", "VA205")


def test_different_pictures_are_no_duplicates(tmp_path: Path) -> None:
    rows = write_set(tmp_path, each=3)
    rows = [replace(row, split=("train", "test")[number % 2]) for number, row in enumerate(rows)]
    found = audited(rows)
    assert sections(found, EXACT + NEAR) == ["passed"] * 5


def test_same_bytes_and_same_pixels(tmp_path: Path) -> None:
    one, two, three = (encoded(photo(seed)) for seed in range(3))
    again = BytesIO()
    Image.open(BytesIO(two)).save(again, "PNG")
    found = audited(
        [
            place(tmp_path, "a.jpg", one, 0, "train"),
            place(tmp_path, "b.jpg", one, 0, "test"),
            place(tmp_path, "c.jpg", two, 0, "train"),
            place(tmp_path, "d.png", again.getvalue(), 1, "train"),
            place(tmp_path, "e.jpg", three, 1, "test"),
            place(tmp_path, "f.jpg", three, 1, "test"),
        ]
    )
    assert [found[code].examples for code in EXACT] == [
        ["c.jpg = d.png"],
        ["a.jpg = b.jpg"],
        ["e.jpg = f.jpg"],
    ]
    assert sections(found, EXACT) == ["issue", "issue", "tip"]
    assert "(2 rows): in 0 some files agree byte for byte" in found["VA201"].explanation
    assert "(2 rows): in 1 some files agree byte for byte" in found["VA202"].explanation
    assert sections(found, NEAR) == ["passed", "passed"], "what is identical is not said twice"


def test_resized_and_recompressed_copies_are_found(tmp_path: Path) -> None:
    pictures = [photo(seed) for seed in range(12)]
    rows = [
        place(tmp_path, f"{n}.png", encoded(image, "PNG"), 0, "train") for n, image in enumerate(pictures)
    ]
    small = pictures[3].resize((130, 97), Image.Resampling.LANCZOS)
    rows.append(place(tmp_path, "copy3.jpg", encoded(small, quality=40), 0, "test"))
    large = pictures[5].resize((400, 300), Image.Resampling.BILINEAR)
    rows.append(place(tmp_path, "copy5.webp", encoded(large, "WEBP", 60), 1, "train"))
    found = audited(rows)
    assert found["VA205"].examples == ["3.png ~ copy3.jpg"]
    assert found["VA204"].examples == ["5.png ~ copy5.webp"]
    assert sections(found, NEAR) == ["issue", "issue"]
    assert found["VA205"].explanation.startswith("2 pictures in pairs")


def test_declared_pairs_are_no_fault(tmp_path: Path) -> None:
    image = photo(0)
    other = image.resize((120, 90))
    rows = [
        place(tmp_path, "a.png", encoded(image, "PNG"), 0, "train", picture="p"),
        place(tmp_path, "b.jpg", encoded(other), 1, "train", picture="p"),
        place(tmp_path, "c.jpg", encoded(photo(1)), 1, "test"),
    ]
    found = audited(rows)
    assert sections(found, ("VA204", "VA205", "VA207", "VA209")) == ["passed"] * 4
    assert "1 source picture with real and generated rows" in found["VA209"].explanation
    torn = audited([rows[0], replace(rows[1], split="test"), rows[2]])
    assert sections(torn, ("VA204", "VA205", "VA207")) == ["passed", "issue", "issue"]


def test_flat_pictures_are_not_taken_for_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(10):
        pixels = np.clip(rng.normal(200, 4, (100, 120 + number, 3)), 0, 255).astype(np.uint8)
        data = encoded(Image.fromarray(pixels))
        rows.append(place(tmp_path, f"{number}.jpg", data, number % 2, ("train", "test")[number // 5]))
    found = audited(rows)
    assert sections(found, NEAR) == ["passed", "passed"]
    assert "10 flat pictures" in found["VA204"].explanation


def test_same_shapes_in_another_colour_are_not_copies() -> None:
    records = np.zeros(3, RECORD)
    records["grey"] = np.random.default_rng(0).integers(0, 255, (16, 16))
    records["colour"][1] = 10
    records["colour"][2] = (60, 0, 0)
    found = verify(records, np.array([0, 0]), np.array([1, 2]))
    assert found.tolist() == [pytest.approx(1.0), -1.0]


def test_candidates_are_all_pairs_within_six_bits() -> None:
    rng = np.random.default_rng(0)
    # Hashes around ten centres: pairs on both sides of the threshold.
    hashes = rng.choice(rng.integers(0, 2**63, 10, dtype=np.uint64), 300)
    for number in range(300):
        for bit in rng.choice(64, rng.integers(0, 6), replace=False):
            hashes[number] ^= np.uint64(1 << int(bit))
    expected = {
        (i, j)
        for i in range(300)
        for j in range(i + 1, 300)
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= 6
    }
    found = {
        pair
        for first, second in candidates(hashes)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    }
    assert found == expected
    assert 1000 < len(expected) < 4000
    assert list(candidates(hashes[:0])) == list(candidates(hashes[:1])) == []


def test_fifty_thousand_pictures_are_searched() -> None:
    rng = np.random.default_rng(0)
    records = np.zeros(50_000, RECORD)
    records["hash"] = rng.integers(0, 2**63, 50_000, dtype=np.uint64)
    records["grey"] = rng.integers(0, 255, (50_000, 16, 16), dtype=np.uint8)
    records["pixel_digest"] = np.arange(50_000)
    records[49_999] = records[7]
    records["hash"][49_999] ^= np.uint64(0b10101)
    records["pixel_digest"][49_999] = 49_999
    found = near_duplicates(
        records, np.ones(50_000, bool), np.arange(50_000), {"all": lambda first, second: first != second}
    )
    assert found["all"].members == {7, 49_999}
    assert [(i, j) for _, i, j in found["all"].closest] == [(7, 49_999)]


def row(
    number: int, label: int, split: str, group: str = "unknown", source: str = "", picture: str = ""
) -> Row:
    return Row(Path(f"{number}.png"), f"{number}.png", label, group, split, source=source, picture=picture)


def test_what_the_manifest_says_of_its_splits() -> None:
    rows = [
        row(0, 0, "train", "camera-a", "repo", "p"),
        row(1, 0, "test", "camera-b", "repo", "q"),
        row(2, 1, "train", "gan", "prompts", "p"),
        row(3, 1, "test", "gan", "prompts", "p"),
    ]
    found = {finding.code: finding for finding in find_leakage(rows)}
    assert [found[code].section for code in ("VA206", "VA207", "VA208", "VA209")] == [
        "issue",
        "issue",
        "tip",
        "passed",
    ]
    assert found["VA206"].examples == ["gan: test, train"]
    assert found["VA206"].explanation == "1 of 3 groups in more than one split."
    assert found["VA207"].examples == ["p: test, train"]
    assert found["VA208"].examples == ["repo: test, train"], "the source of a group that leaks is said there"


def test_no_splits_no_groups_no_leakage() -> None:
    one = find_leakage([row(0, 0, "train"), row(1, 1, "")])
    assert [finding.section for finding in one] == ["not_applicable"] * 4
    two = find_leakage([row(0, 0, "train"), row(1, 1, "test")])
    assert [finding.section for finding in two] == ["not_applicable"] * 4
    assert two[0].explanation == "The manifest names no groups."
