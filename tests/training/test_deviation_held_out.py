"""Deviations from training to the verdict: held-out files, the limit in the card, a scan that abstains."""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from tiny_workshop import TOWER, recipe_values, write_clip, write_recipe, write_set

from vestige.data.manifest import read_manifest
from vestige.detector import Detector
from vestige.errors import DataError, ModelPackageError
from vestige.evaluation.protocols import conditions
from vestige.evaluation.scores import read_scores, write_scores
from vestige.evaluation.scoring import score_chunk
from vestige.images.views import extract, patch_grid
from vestige.inference.package import load_package
from vestige.inference.session import Scores, Session
from vestige.methods.base import Network
from vestige.results import Verdict
from vestige.training.calibration import HeldOut, deviation_limit, read_held_out
from vestige.training.export import as_input, check_parity, export, load_network
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.run import train

MODEL = {"features": [{"kind": "clip", "tower": TOWER}], "widths": [8, 4]}
FIT = {"batch": 16, "alternating": {"rounds": 20, "rounds_per_checkpoint": 20}}
DATA = {"patch": 64, "views": 2}
EACH, GROUPS = 4, 2


class Shop(NamedTuple):
    """A trained run of a network with a deviation, its package, and its pictures."""

    folder: Path
    manifest: Path
    run: Path
    package: Path

    def network(self) -> Network:
        return load_network(self.run, read_recipe(self.run / "recipe.yaml"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("deviations")
    (folder / "weights").mkdir()
    write_clip(folder / "weights")
    manifest = write_set(folder / "set", groups=GROUPS, each=EACH)
    recipe = write_recipe(folder / "attribution.yaml", "attribution", model=MODEL, fit=FIT, data=DATA)
    train(recipe, manifest, folder / "weights", folder / "run")
    export(folder / "run", manifest, folder / "package")
    return Shop(folder, manifest, folder / "run", folder / "package")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def held_out(real: list[float], generated: list[float]) -> HeldOut:
    labels = np.array([0] * len(real) + [1] * len(generated), dtype=np.int64)
    values = np.array([*real, *generated])
    return HeldOut(labels, [""] * len(labels), np.zeros(len(labels)), values)


def change(package: Path, out: Path, **abstention: Any) -> Path:
    """A copy of a package with another abstention rule."""
    out.mkdir()
    (out / "model.onnx").write_bytes((package / "model.onnx").read_bytes())
    card = json.loads((package / "card.json").read_text())
    card["abstention"] |= abstention
    (out / "card.json").write_text(json.dumps(card))
    return out


def test_held_out_files_have_a_column_of_deviations(shop: Shop) -> None:
    lines = table(shop.run / "held-out.csv")
    assert list(lines[0]) == ["path", "label", "group", "logit", "deviation"]
    assert len(lines) == 2 * GROUPS * EACH
    parts = [line for fold in (0, 1) for line in table(shop.run / f"fold-{fold}" / "held-out.csv")]
    assert parts == lines
    found = read_held_out(shop.run / "held-out.csv")
    assert found.deviations is not None
    assert found.deviations.tolist() == [float(line["deviation"]) for line in lines]
    assert (found.deviations > 0).all()
    assert len(set(found.deviations.tolist())) == len(lines)


def test_the_package_says_what_pytorch_says(shop: Shop) -> None:
    package = load_package(shop.package)
    graph = onnx.load(shop.package / "model.onnx").graph
    assert [output.name for output in graph.output] == ["logit", "deviation"]
    assert package.card.outputs.deviation == "deviation"
    assert package.card.outputs.map is None
    assert package.card.abstention.max_deviation is None, "eight pictures of a class are too few"
    network = shop.network()
    patches = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    assert check_parity(network, shop.package, patches) <= 1e-4
    with torch.inference_mode():
        expected = network(as_input(patches)).deviation
    assert expected is not None
    found = Session(package).run(patches).deviation
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)


def test_a_scan_gives_the_mean_over_the_patches(shop: Shop) -> None:
    network, detector = shop.network(), Detector.load(shop.package)
    for path in sorted(shop.manifest.parent.glob("*-0-*.png")):
        pixels = np.asarray(Image.open(path))
        corners = patch_grid(96, 96, 64, 2)
        patches = np.stack([extract(pixels, x, y, 64) for x, y in corners])
        with torch.inference_mode():
            expected = network(as_input(patches)).deviation
        assert expected is not None
        assert len(expected) == 2
        assert detector.scan(path).deviation == pytest.approx(float(expected.mean()), rel=1e-4)


def test_what_is_unlike_all_pictures_is_inconclusive(shop: Shop, tmp_path: Path) -> None:
    chessboard = np.repeat(((np.indices((96, 96)) // 2).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    known = sorted(shop.manifest.parent.glob("*.png"))
    plain = Detector.load(shop.package)
    ordinary = [report.deviation for report in plain.scan_many(known)]
    odd = plain.scan(chessboard).deviation
    assert odd > max(ordinary)
    limit = (odd + max(ordinary)) / 2
    # Without a band, what is inconclusive is so for its deviation alone.
    limited = change(shop.package, tmp_path / "limited", low=0.5, high=0.5, max_deviation=limit)
    detector = Detector.load(limited)
    assert all(report.verdict != Verdict.INCONCLUSIVE for report in detector.scan_many(known))
    report = detector.scan(chessboard)
    assert report.verdict == Verdict.INCONCLUSIVE
    assert report.evidence is not None
    (reason,) = report.evidence.reasons
    assert reason.startswith("The picture is unlike the pictures that this model was calibrated on: ")
    lowest = change(shop.package, tmp_path / "lowest", max_deviation=min(ordinary) / 2)
    assert {one.verdict for one in Detector.load(lowest).scan_many(known)} == {Verdict.INCONCLUSIVE}


def test_the_card_takes_its_limit_from_the_held_out_pictures(shop: Shop, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("run.json", "recipe.yaml", "network.safetensors"):
        (run / name).write_bytes((shop.run / name).read_bytes())
    with (run / "held-out.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "logit", "deviation"])
        for number in range(200):
            writer.writerow([f"r{number}", 0, "camera", number % 7 - 4, 1 + number])
            writer.writerow([f"g{number}", 1, "generator", number % 7 - 2, 2 + number / 100])
    card = export(run, shop.manifest, tmp_path / "package")
    assert card.abstention.max_deviation == 198, "two of 200 real pictures lie above, at 199 and 200"
    assert load_package(tmp_path / "package").card == card


def test_a_graph_with_other_deviations_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = np.zeros((2, 64, 64, 3), np.uint8)
    run = Session.run
    for factor in (1.1, np.nan):

        def off(self: Session, views: Any, factor: float = factor) -> Scores:
            found = run(self, views)
            assert found.deviation is not None
            return found._replace(deviation=found.deviation * np.float32(factor))

        monkeypatch.setattr(Session, "run", off)
        with pytest.raises(ModelPackageError, match="differs from PyTorch"):
            check_parity(shop.network(), shop.package, patches)


def test_benches_keep_deviations(shop: Shop, tmp_path: Path) -> None:
    rows = read_manifest(shop.manifest)[:3]
    (as_found,) = conditions(["as-found"])
    detector = Detector.load(shop.package)
    scored = score_chunk(detector, "tiny", "made-up", as_found, rows)
    write_scores(tmp_path / "new.parquet", scored)
    found = pq.read_table(tmp_path / "new.parquet")["deviation"].to_pylist()
    assert found == pytest.approx([detector.scan(row.path).deviation for row in rows], abs=1e-5)
    assert len(read_scores(tmp_path / "new.parquet").paths) == 3
    older = pq.read_table(tmp_path / "new.parquet").drop_columns(["deviation"])
    pq.write_table(older, tmp_path / "older.parquet")
    assert len(read_scores(tmp_path / "older.parquet").paths) == 3
    pq.write_table(older.drop_columns(["format"]), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not a file of scores"):
        read_scores(tmp_path / "other.parquet")


def test_networks_without_a_deviation_have_none_anywhere(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", each=3)
    recipe = write_recipe(tmp_path / "plain.yaml", "srm-statistics", data=DATA)
    train(recipe, manifest, None, tmp_path / "run")
    card = export(tmp_path / "run", manifest, tmp_path / "package")
    assert list(table(tmp_path / "run" / "held-out.csv")[0]) == ["path", "label", "group", "logit"]
    assert (card.outputs.deviation, card.abstention.max_deviation) == (None, None)
    assert "deviation" not in json.dumps({**card.model_dump(mode="json"), "training": {}})
    graph = onnx.load(tmp_path / "package" / "model.onnx").graph
    assert [output.name for output in graph.output] == ["logit"]
    report = Detector.load(tmp_path / "package").scan(manifest.parent / "camera-0-0.png")
    assert report.deviation is None


def test_folds_of_different_kinds_are_not_mixed(shop: Shop, tmp_path: Path) -> None:
    """As when a run that was begun before there were deviations goes on."""
    run = tmp_path / "run"
    recipe = shop.folder / "attribution.yaml"
    for name in ("run.json", "recipe.yaml", "fold-1/held-out.csv", "network.safetensors"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes((shop.run / name).read_bytes())
    (run / "fold-0").mkdir()
    with (run / "fold-0" / "held-out.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["path", "label", "group", "logit"]]
            + [list(line.values())[:4] for line in table(shop.run / "fold-0" / "held-out.csv")]
        )
    with pytest.raises(DataError, match=r"fold-1/held-out.csv: its columns are not those of .*fold-0"):
        train(recipe, shop.manifest, shop.folder / "weights", run, cache=shop.run / "cache")


def test_held_out_files_with_impossible_deviations(tmp_path: Path) -> None:
    path = tmp_path / "held-out.csv"
    path.write_text("path,label,group,logit,deviation\na,0,g,-1.5,0.25\nb,1,h,2,3\n")
    found = read_held_out(path)
    assert found.deviations is not None
    assert found.deviations.tolist() == [0.25, 3]
    for wrong in ("nan", "inf", "-0.1"):
        path.write_text(f"path,label,group,logit,deviation\na,0,g,-1.5,0.25\nb,1,h,2,{wrong}\n")
        with pytest.raises(DataError, match=rf"deviation of b is {wrong}, not a number of at least 0"):
            read_held_out(path)


def test_the_limit_is_the_larger_of_both_classes() -> None:
    low, high = [number / 200 for number in range(200)], [5 + number / 200 for number in range(200)]
    assert deviation_limit(held_out(low, high), 0.99) == 5 + 197 / 200
    assert deviation_limit(held_out(high, low), 0.99) == 5 + 197 / 200
    assert deviation_limit(held_out(high, low), 0.5) == 5 + 99 / 200


@given(
    st.integers(100, 400), st.integers(100, 400), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.integers(0, 99)
)
def test_the_limit_against_numpys_quantile(real: int, generated: int, quantile: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    some = [rng.gamma(2, scale, count).tolist() for scale, count in ((1, real), (2, generated))]
    limit = deviation_limit(held_out(*some), quantile)
    # Rounding of 100 * 0.99 aside, which the test leaves to counting.
    assert limit in some[0] + some[1]
    shares = [np.mean(np.array(one) > limit) for one in some]
    assert max(shares) <= 1 - quantile + 1e-9
    below = np.nextafter(limit, 0)
    assert any(np.mean(np.array(one) > below) > 1 - quantile + 1e-9 for one in some), "it is the lowest"
    expected = max(np.quantile(one, quantile - 1e-12, method="inverted_cdf") for one in some)
    assert limit == expected


def test_no_limit_without_enough_to_tell() -> None:
    many, few = list(range(1, 101)), list(range(1, 100))
    assert deviation_limit(held_out(many, many), 0.99) == 99
    assert deviation_limit(held_out(many, few), 0.99) is None
    assert deviation_limit(held_out(few, many), 0.5) is None
    assert deviation_limit(held_out(many, many), 0.995) is None, "none of a hundred lies beyond"
    assert deviation_limit(held_out(many * 2, many * 2), 0.995) == 100
    assert deviation_limit(held_out(many, many), None) is None
    assert deviation_limit(held_out([0] * 100, [0] * 100), 0.99) is None
    assert deviation_limit(HeldOut(np.array([0, 1]), ["", ""], np.zeros(2)), 0.99) is None


def test_the_quantile_is_the_recipes() -> None:
    values = recipe_values("attribution", model=MODEL)
    assert Recipe.model_validate(values).package.deviation_quantile == 0.99
    for quantile, valid in ((None, True), (0.9, True), (0, False), (1, False)):
        values["package"]["deviation_quantile"] = quantile
        if valid:
            assert Recipe.model_validate(values).package.deviation_quantile == quantile
        else:
            with pytest.raises(ValidationError, match="deviation_quantile"):
                Recipe.model_validate(values)
