"""Packages of the second kind, and how their graphs are run over whole pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from scipy.signal import convolve2d

from conftest import brightness_graph, card_of
from extractor_samples import (
    conv_graph,
    extractor_card,
    graph_of,
    plain_graph,
    strided_graph,
    write_extractor,
)
from vestige import Detector
from vestige.errors import ModelPackageError
from vestige.inference import package as packages
from vestige.inference.card import ExtractorCard, ModelCard
from vestige.inference.package import (
    load_extractor_package,
    load_package,
    read_card,
    shipped_extractors,
    shipped_models,
)
from vestige.inference.signature import FADE, GRID, TILE, ExtractorSession, Signature, spans

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a package with the plain graph or another; keyword arguments change its card."""

    def one(graph: bytes | None = None, **changes: object) -> Path:
        number = len(list(tmp_path.glob("extractor-*")))
        return write_extractor(tmp_path / f"extractor-{number}", graph, **changes)

    return one


def session(folder: Path) -> ExtractorSession:
    return ExtractorSession(load_extractor_package(folder), threads=1)


def refusal(folder: Path | str) -> str:
    with pytest.raises(ModelPackageError) as caught:
        load_extractor_package(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- cards and packages


def test_a_sound_package_is_loaded(make: Make) -> None:
    folder = make()
    loaded = load_extractor_package(folder)
    assert loaded.card.title == "plain 1.0"
    assert loaded.graphs == ((folder / "model.onnx").read_bytes(),)


def test_cards_are_the_same_when_written_and_read() -> None:
    figure = {"data": "a set", "metric": "gain in dB", "value": 1.5, "low": 0.5, "high": 2.5}
    figure |= {"pictures": 64, "sources": 3}
    card = ExtractorCard.model_validate(extractor_card(b"", results=[figure], reach=10, target="noise"))
    assert ExtractorCard.model_validate_json(card.model_dump_json()) == card
    assert json.loads(card.model_dump_json())["kind"] == "extractor"
    assert card.results[0].pictures == 64


def test_a_card_without_a_kind_is_a_detectors() -> None:
    values = card_of(b"")
    assert "kind" not in values
    card = ModelCard.model_validate(values)
    assert card.kind == "detector"
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_an_altered_graph_is_refused(make: Make) -> None:
    folder = make()
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "model.onnx: altered or damaged" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "love"}, "target: Input should be 'residual', 'noise' or 'imprint'"),
        ({"reach": -1}, "reach: "),
        ({"views": {"size": 64, "count": 4}}, "views: Extra inputs"),
        ({"files": {}}, "stage model.onnx has no sha256"),
        ({"kind": "oracle"}, "the kind 'oracle'; this vestige knows detector and extractor"),
        ({"kind": 7}, "kind: Input should be a valid string"),
        ({"minimum_vestige": "99.0"}, "needs vestige 99.0"),
    ],
)
def test_cards_that_make_no_sense_are_refused(make: Make, changes: dict[str, object], words: str) -> None:
    assert words in refusal(make(**changes))


@pytest.mark.parametrize("text", ["{", "[]", "7", ""])
def test_a_card_that_is_no_card_is_refused(make: Make, text: str) -> None:
    folder = make()
    (folder / "card.json").write_text(text)
    assert "not a valid model card" in refusal(folder)


def test_a_detector_keeps_its_own_keys(package: Path) -> None:
    card = json.loads((package / "card.json").read_text())
    (package / "card.json").write_text(json.dumps({**card, "target": "residual"}))
    with pytest.raises(ModelPackageError, match="target: Extra inputs"):
        load_package(package)


def test_an_extractor_gives_no_verdicts(make: Make) -> None:
    folder = make()
    words = "plain 1.0 is an extractor, which draws signatures and gives no verdict"
    for load in (load_package, Detector.load, read_card):
        with pytest.raises(ModelPackageError, match=words):
            load(folder)


def test_a_detector_draws_no_signatures(package: Path) -> None:
    assert "brightness 1.0 is a detector, which gives verdicts and no signature" in refusal(package)


def test_shipped_packages_are_listed_by_kind(
    make_package: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_package(name="judge").rename(tmp_path / "judge")
    write_extractor(tmp_path / "drawer", name="drawer")
    monkeypatch.setattr(packages, "_shipped_root", lambda: tmp_path)
    assert shipped_models() == ["judge"]
    assert shipped_extractors() == ["drawer"]
    assert load_extractor_package("drawer").card.name == "drawer"
    assert "judge 1.0 is a detector" in refusal("judge")
    assert "neither a shipped extractor (drawer)" in refusal("third")
    with pytest.raises(ModelPackageError, match=r"neither a shipped model \(judge\)"):
        load_package("third")


@pytest.mark.parametrize("name", shipped_extractors())
def test_shipped_extractors_are_sound_and_small(name: str) -> None:
    loaded = load_extractor_package(name)
    assert loaded.card.name == name
    assert sum(file.stat().st_size for file in loaded.folder.iterdir()) <= 15 * 2**20
    assert loaded.card.results, "a shipped model says how good it is"
    assert loaded.card.failure_modes
    found = ExtractorSession(loaded, threads=1).run(np.full((2, 65, 91, 3), 99, np.uint8))
    assert found.shape == (2, 65, 91, 3)


# --- graphs


def test_pixels_are_scaled_to_one_and_channels_stay_in_place(make: Make) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    found = session(make()).run(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, pixels / 127.5 - 1, atol=1e-6)


def test_graphs_of_another_form_are_refused(make: Make) -> None:
    node = [helper.make_node("Identity", ["images"], ["signature"])]
    fixed = graph_of(node, {}, ("batch", 3, 64, 64), ("batch", 3, 64, 64))
    grey = graph_of(node, {}, ("batch", 1, "h", "w"), ("batch", 1, "h", "w"))
    other = graph_of([helper.make_node("Identity", ["images"], ["map"])], {}, output="map")
    for graph, words in (
        (b"not onnx", "cannot load the graph"),
        (brightness_graph(), "the one output 'signature', this one has logit"),
        (other, "the one output 'signature', this one has map"),
        (fixed, "not images of any number and size"),
        (grey, "not images of any number and size"),
    ):
        with pytest.raises(ModelPackageError, match=words):
            session(make(graph))


def test_signatures_that_are_none_are_refused(make: Make) -> None:
    smaller = graph_of(
        [helper.make_node("AveragePool", ["images"], ["signature"], kernel_shape=[2, 2])],
        {},
        made=("batch", 3, "h", "w"),
    )
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ModelPackageError, match=r"shape \(1, 3, 7, 7\) of pictures of shape \(1, 3, 8, 8\)"):
        session(make(smaller)).run(pixels)
    nothing = conv_graph(np.zeros((3, 3, 1, 1), np.float32), float("nan"))
    with pytest.raises(ModelPackageError, match="no finite numbers"):
        session(make(nothing)).run(pixels)


# --- whole pictures


@given(length=st.integers(1, 20_000), reach=st.integers(0, 128))
def test_tiles_cover_an_axis_and_count_only_where_they_are_sound(length: int, reach: int) -> None:
    tiles = spans(length, reach)
    total = np.zeros(length)
    for tile in tiles:
        assert tile.start % GRID == 0
        assert len(tile.weight) == tile.end - tile.start <= TILE + GRID
        assert tile.weight.min() >= 0
        total[tile.start : tile.end] += tile.weight
        if tile.start:
            assert not tile.weight[:reach].any()
        if tile.end < length:
            assert not tile.weight[len(tile.weight) - reach :].any()
    assert (tiles[0].start, tiles[-1].end) == (0, length)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    if len(tiles) > 1:
        assert max(float(np.abs(np.diff(tile.weight)).max()) for tile in tiles) <= 1 / FADE + 1e-6, "no seam"


def test_a_picture_that_fits_is_seen_in_one_piece() -> None:
    assert len(spans(TILE, 18)) == 1
    assert len(spans(TILE + 1, 18)) == 2


def test_tiles_say_what_the_whole_says(make: Make) -> None:
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.3, (3, 3, 7, 7)).astype(np.float32)
    pixels = rng.integers(0, 256, (1030, 567, 3), dtype=np.uint8)
    found = session(make(conv_graph(kernel), reach=3)).extract(pixels)
    assert found.tiles > 3
    for channel in range(3):  # by another library
        expected = sum(
            convolve2d(pixels[..., c] / 255, kernel[channel, c, ::-1, ::-1], "same") for c in range(3)
        )
        np.testing.assert_allclose(found.residual[..., channel], expected, atol=1e-4)


def test_tiles_keep_a_stride_in_step(make: Make) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (700, 530, 3), dtype=np.uint8)
    extractor = session(make(strided_graph(), reach=3))
    found = extractor.extract(pixels)
    assert found.tiles == 4
    np.testing.assert_allclose(found.residual, extractor.run(pixels[None])[0], atol=1e-5)


def test_a_reach_that_is_too_short_shows(make: Make) -> None:
    """The fading alone does not make tiles sound: the margin does."""
    pixels = np.full((40, 1100, 3), 200, np.uint8)
    kernel = np.full((3, 3, 41, 41), 1 / 41**2, np.float32)
    sound = session(make(conv_graph(kernel), reach=20)).extract(pixels).residual[20]
    short = session(make(conv_graph(kernel), reach=0)).extract(pixels).residual[20]
    assert np.ptp(sound[30:-30]) < 1e-5
    assert np.ptp(short[30:-30]) > 1e-2


def test_tiles_are_shown_as_progress(make: Make) -> None:
    seen = []

    def track(tiles, what):  # type: ignore[no-untyped-def]
        seen.append((len(tiles), what))
        return iter(tiles)

    found = session(make()).extract(np.zeros((600, 600, 3), np.uint8), track)
    assert seen == [(found.tiles, "tiles")]


def test_strength_is_in_grey_levels() -> None:
    residual = np.zeros((10, 20, 3), np.float32)
    residual[:5] = 4 * 2 / 255
    assert Signature(residual, 1).grey_levels == pytest.approx(4 / 2**0.5)


def test_the_plain_graph_needs_no_reach(make: Make) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (5, 1500, 3), dtype=np.uint8)
    found = session(make(plain_graph())).extract(pixels)
    np.testing.assert_allclose(found.residual, pixels / 127.5 - 1, atol=1e-5)
