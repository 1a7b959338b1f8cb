"""Maps of test pictures in one pass with their logits, and an ablation that measures them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from tiny_ablation import DATA, SPEC
from tiny_workshop import picture, recipe_values, write_recipe, write_set
from torch import Tensor

from vestige.apps.ablate import AblateOptions, run
from vestige.data.manifest import Row, read_manifest
from vestige.evaluation import tables
from vestige.evaluation.ablation_record import read_record, read_scores
from vestige.images import decode
from vestige.methods.base import Network, Output
from vestige.methods.references import npr
from vestige.progress import Progress
from vestige.training import scoring
from vestige.training.recipe import parse_recipe
from vestige.training.scoring import native_patches, score_maps, score_pictures

RECIPE = parse_recipe(recipe_values("npr", data=DATA), "test")


class Brightness(Network):
    """Bright is generated, place by place."""

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        return (F.avg_pool2d(images, 8).mean(1, keepdim=True),)

    def head(self, *features: Tensor) -> Output:
        map = 8 * (features[0] - 0.5)
        return Output(map.mean((1, 2, 3)), map)


class WithMap(npr.Npr):
    """Finds white squares without having learned it."""

    def head(self, *features: Tensor) -> Output:
        found = super().head(*features)
        return found._replace(map=F.avg_pool2d(features[0], 8).mean(1, keepdim=True) - 200)


def rows_with(folder: Path, sides: list[tuple[int, int]]) -> list[Row]:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = []
    for number, (width, height) in enumerate(sides):
        path = folder / f"{number}.png"
        Image.fromarray(picture(number % 2, rng, max(width, height))[:height, :width]).save(path)
        rows.append(Row(path, path.name, number % 2, "g"))
    return rows


def test_maps_and_logits_are_those_of_the_native_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small ones, so that views of one picture fall into two batches.
    monkeypatch.setattr(scoring, "SCORING_BATCH", 3)
    rows = rows_with(tmp_path / "set", [(200, 130), (64, 64), (50, 70), (300, 90)])
    network = Brightness()
    found = {one.picture: one for one in score_maps(network, RECIPE, rows, 4, tmp_path / "cache", Progress())}
    logits = score_pictures(network, RECIPE, rows, 4, tmp_path / "cache", Progress())
    assert sorted(found) == [0, 1, 2, 3]
    for number, row in enumerate(rows):
        patches = native_patches(decode(row.path).pixels, 64, 4)
        whole = network(torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255)
        maps = found[number].maps
        assert maps is not None
        assert maps.shape == (len(patches), 8, 8)
        np.testing.assert_allclose(maps, whole.map[:, 0].numpy(), atol=4e-3)
        assert found[number].logit == pytest.approx(float(whole.logit.mean()), abs=4e-3)
        assert found[number].logit == logits[number]


def test_whoever_takes_maps_may_still_learn(tmp_path: Path) -> None:
    rows = rows_with(tmp_path / "set", [(64, 64), (64, 64)])
    for _ in score_maps(Brightness(), RECIPE, rows, 1, tmp_path / "cache", Progress()):
        assert not torch.is_inference_mode_enabled()


def test_a_network_without_a_map(tmp_path: Path) -> None:
    rows = rows_with(tmp_path / "set", [(64, 64)])
    network = npr.build(npr.CnnConfig(widths=(8,), blocks=(1,)), None)
    (found,) = score_maps(network, RECIPE, rows, 1, tmp_path / "cache", Progress())
    assert found.maps is None


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ablation in `out`: two rows with maps, one without, on a set of which some have masks."""
    folder = tmp_path_factory.mktemp("pixels")
    write_set(folder / "set", groups=2, each=4)
    write_set(folder / "test", groups=2, each=3, seed=1, split="")
    manifest = folder / "test" / "manifest.csv"
    with manifest.open(newline="") as file:
        lines = list(csv.reader(file))
    lines[0] += ["mask", "manipulation"]
    for line in lines[1:]:
        name = line[0]
        partly = name.startswith("generator") and not name.endswith("-2.png")
        line += [f"mask-{name}" if partly else "", "splicing" if partly else ""]
        pixels = np.array(Image.open(folder / "test" / name)) // 2
        mask = np.zeros((96, 96), np.uint8)
        if partly:
            mask[8:40, 16:48] = 255
            Image.fromarray(mask).save(folder / "test" / f"mask-{name}")
        pixels[mask > 0] = 255
        Image.fromarray(pixels).save(folder / "test" / name)
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    write_recipe(folder / "npr.yaml", "npr", data=DATA)
    rows: dict[str, Any] = {"whole": {}, "wider": {"set": {"model": {"widths": [12, 16]}}}}
    spec = SPEC | {"rows": rows | {"mapless": {"set": {"method": "cnndet"}}}, "questions": {}}
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "DRAWS", 20)
        patch.setattr(
            npr, "METHOD", replace(npr.METHOD, map_output=True, build=lambda config, _: WithMap(config))
        )
        run(
            AblateOptions(
                out=folder / "out",
                spec=folder / "spec.yaml",
                train=folder / "set" / "manifest.csv",
                split="train",
                tests=[f"places={manifest}"],
                weights=None,
                cache=folder / "cache",
                only=[],
            )
        )
    return folder


def test_an_ablation_measures_its_maps(home: Path) -> None:
    scores = read_scores(home / "out" / "scores" / "places" / "whole-seed0.csv")
    assert scores.pixels is not None
    rows = read_manifest(home / "test" / "manifest.csv")
    assert scores.pixels.manipulations == [row.manipulation for row in rows]
    partly = np.array([row.mask is not None for row in rows])
    ap, area = scores.pixels.column("pixel_ap"), scores.pixels.column("generated_area")
    assert (~np.isnan(ap) == partly).all()
    # Squares on the grid of the map, but for what bilinear enlarging makes soft.
    assert (ap[partly] > 0.97).all()
    assert (scores.pixels.column("pixel_f1")[partly] > 0.8).all()
    np.testing.assert_allclose(area[~partly], [row.label for row in rows if row.mask is None])
    assert (scores.pixels.column("flagged")[~partly] == 0).all(), "nothing else is that bright"
    record = read_record(home / "out")
    assert record is not None
    assert record.tests["places"].masks == 4


def test_rows_without_a_map_have_logits_alone(home: Path) -> None:
    path = home / "out" / "scores" / "places" / "mapless-seed0.csv"
    assert path.read_text().splitlines()[0] == "picture,label,group,logit"
    assert read_scores(path).pixels is None


def test_the_page_has_both(home: Path) -> None:
    page = (home / "out" / "README.md").read_text()
    places = page.split("### Where is a picture generated?")[1]
    (line,) = [line for line in places.splitlines() if line.startswith("| mapless")]
    assert line.startswith("| mapless | no map | - |")
    assert "| splicing | 4 |" in places.split("### By manipulation: whole")[1]
    assert "4 of them have a mask of what is generated." in page
    with (home / "out" / "figures.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] == "pixel AP"]
    assert [line["row"] for line in lines] == ["whole", "wider"]
    assert (lines[0]["real"], lines[0]["generated"]) == ("0", "4"), "those that have the figure"
    # The same map whatever was learned.
    assert float(lines[1]["minus_baseline"]) == 0
