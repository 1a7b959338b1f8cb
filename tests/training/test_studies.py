"""A recipe fitted several times: what each fit saw, what its package says, and that nothing is done twice."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_workshop import write_recipe, write_set, write_weights

from vestige.errors import ConfigError, DataError
from vestige.inference.package import load_package
from vestige.progress import Progress
from vestige.training import run, study
from vestige.training.run import Shop, fit_run, open_shop
from vestige.training.study import Study
from vestige.training.variants import WHOLE, Variant, fractions, leave_one_out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"), groups=3, each=4)


@pytest.fixture(scope="module")
def shop(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three sources, three generators, two folds, reconstructions: all that could leak."""
    folder = tmp_path_factory.mktemp("shop")
    chain = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
    data = {"patch": 64, "views": 2, "chain": chain, "reconstruction": {"per_group": 2, "share": 0.2}}
    recipe = write_recipe(folder / "recipe.yaml", "fft-profile", data=data)
    return open_shop(recipe, pictures, write_weights(folder / "weights"), folder / "shared", Progress())


class Watch:
    """Notes which views each fit was given."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.masks: dict[str, np.ndarray] = {}
        solver = run._solver

        def watched(recipe: run.Recipe) -> run.Fit:
            fit = solver(recipe)

            def one(network, examples, chosen, recipe, folder, progress):  # type: ignore[no-untyped-def]
                self.masks[folder.name] = chosen.copy()
                fit(network, examples, chosen, recipe, folder, progress)

            return one

        patch.setattr(run, "_solver", watched)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    with monkeypatch.context() as patch:
        yield Watch(patch)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_fit_sees_what_is_left_out(shop: Shop, watch: Watch, tmp_path: Path, number: int) -> None:
    variant = leave_one_out(shop.rows)[number]
    fit_run(shop, variant, tmp_path / "run")
    assert sorted(watch.masks) == ["all", "fold-0", "fold-1"]
    left_out = np.array([variant.held_out(row) for row in shop.rows])
    kept = ~left_out[shop.examples.rows]
    assert shop.examples.reconstructed[kept].any()
    for name, mask in watch.masks.items():
        assert not mask[~kept].any()
        for label in (0, 1):
            real_thing = (shop.examples.labels == label) & ~shop.examples.reconstructed
            assert mask[real_thing].any(), f"{name} has both classes"
    assert np.array_equal(watch.masks["all"], kept), "the final fit sees everything else"


def test_held_out_pictures_were_not_seen_by_their_fold(shop: Shop, watch: Watch, tmp_path: Path) -> None:
    variant = leave_one_out(shop.rows)[0]
    fit_run(shop, variant, tmp_path / "run")
    index = {row.name: number for number, row in enumerate(shop.rows)}
    for fold in (0, 1):
        scored = table(tmp_path / "run" / f"fold-{fold}" / "held-out.csv")
        assert {line["label"] for line in scored} == {"0", "1"}
        seen = {
            (shop.rows[row].label, shop.rows[row].group)
            for row in shop.examples.rows[watch.masks[f"fold-{fold}"]]
        }
        assert not seen & {(int(line["label"]), line["group"]) for line in scored}
        assert not any(variant.held_out(shop.rows[index[line["path"]]]) for line in scored)
    together = [line["path"] for line in table(tmp_path / "run" / "held-out.csv")]
    assert sorted(together) == sorted(row.name for row in shop.rows if not variant.held_out(row))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fit_sees_a_fraction(shop: Shop, watch: Watch, tmp_path: Path) -> None:
    (half,) = fractions([0.5])
    fit_run(shop, half, tmp_path / "run")
    rows = set(shop.examples.rows[watch.masks["all"]].tolist())
    assert [sum(shop.rows[row].label == label for row in rows) for label in (0, 1)] == [6, 6]


def test_too_small_a_fraction_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="2 folds for the calibration need at least 2 groups of real pictures"
    ):
        fit_run(shop, Variant(name="1pct", fraction=0.01), tmp_path / "run")


def test_folder_of_another_variant_is_refused(shop: Shop, tmp_path: Path) -> None:
    first, second, _ = leave_one_out(shop.rows)
    fit_run(shop, first, tmp_path / "run")
    for other in (second, WHOLE, Variant(name=first.name, fraction=0.5)):
        with pytest.raises(
            ConfigError, match="begun with another part of the pictures; choose another folder"
        ):
            fit_run(shop, other, tmp_path / "run")
    fit_run(shop, first, tmp_path / "run")


def test_runs_from_before_variants_are_of_the_whole(shop: Shop, tmp_path: Path) -> None:
    fit_run(shop, WHOLE, tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    del facts["variant"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    fit_run(shop, WHOLE, tmp_path / "run")
    with pytest.raises(ConfigError, match="begun with another part of the pictures"):
        fit_run(shop, leave_one_out(shop.rows)[0], tmp_path / "run")


class Stopped(BaseException):
    """Stands for a kill."""


def open_study(pictures: Path, folder: Path, **sections: Any) -> Study:
    """Facts alone: a fit and an export take a second together."""
    recipe = write_recipe(folder / "recipe.yaml", "metadata-only", **sections)
    return Study(recipe, pictures, None, folder / "study", Progress())


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_study_is_resumed_and_its_packages_say_what_they_are(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = leave_one_out(open_study(pictures, tmp_path).rows)[:2]
    export = study.export
    with monkeypatch.context() as patch:
        patch.setattr(
            study, "export", lambda *given: stop_at(given[2].name, variants[1].name) or export(*given)
        )
        with pytest.raises(Stopped):
            list(open_study(pictures, tmp_path).packages(variants))
    packages = tmp_path / "study" / "packages"
    assert [path.name for path in packages.iterdir()] == [variants[0].name]
    first = contents(tmp_path / "study")

    made: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(study, "export", lambda *given: (made.append(given[2].name), export(*given))[1])
        patch.setattr(run, "_solver", lambda _: pytest.fail)  # both were fitted before the kill
        found = list(open_study(pictures, tmp_path).packages(variants))
    assert made == [variants[1].name]
    assert found == [(variant, packages / variant.name) for variant in variants]
    assert first.items() <= contents(tmp_path / "study").items()

    whole = contents(tmp_path / "study")
    with monkeypatch.context() as patch:
        for name in ("export", "fit_run"):
            patch.setattr(study, name, lambda *_: pytest.fail("made anew"))
        assert list(open_study(pictures, tmp_path).packages(variants)) == found
    assert contents(tmp_path / "study") == whole

    for variant, package in found:
        card = load_package(package).card
        assert card.title == f"tiny-metadata-only 0.1.0+{variant.name}"
        assert (card.calibration.real, card.calibration.generated) == (8, 8)
        sources = {(source.label, source.name) for source in card.training.sources}
        assert len(sources) == 4
        assert (1, variant.without_generator) not in sources
        assert not sources & {(0, name) for name in variant.without_sources}


def stop_at(name: str, wanted: str) -> None:
    if name == wanted:
        raise Stopped


def test_a_study_of_another_recipe_is_refused(pictures: Path, tmp_path: Path) -> None:
    open_study(pictures, tmp_path)
    with pytest.raises(ConfigError, match="shared: this run was begun with another recipe"):
        open_study(pictures, tmp_path, seed=8)


def test_names_of_generators_cannot_lead_out_of_the_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(study, "fit_run", lambda _shop, _variant, folder: made.append(folder))
    monkeypatch.setattr(study, "export", lambda _run, _manifest, package: made.append(package))
    names = ["without-a/../../../x", "without-a:b", "without-SD 1.5", "without-a%2Fb"]
    found = [path for _, path in open_study(pictures, tmp_path).packages([Variant(name=n) for n in names])]
    assert len(set(found)) == 4
    for path in made:
        assert path.parent in {tmp_path / "study" / "runs", tmp_path / "study" / "packages"}


def test_card_counts_the_reconstructions_of_the_variant(shop: Shop, tmp_path: Path) -> None:
    variant = leave_one_out(shop.rows)[0]
    fit_run(shop, variant, tmp_path / "run")
    card = study.export(tmp_path / "run", shop.manifest, tmp_path / "package")
    kept = ~np.array([variant.held_out(row) for row in shop.rows])[shop.examples.rows]
    count = len(set(shop.examples.rows[kept & shop.examples.reconstructed].tolist()))
    assert f"; {count} of its real pictures also after" in card.training.data
