"""Imprints in training: views with them, what the cache calls them, how often they are drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_workshop import recipe_values, rows_of, write_recipe, write_set

from vestige.data.manifest import Row, read_manifest
from vestige.errors import ConfigError
from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
from vestige.methods.nirnet.simulator import Simulator, SimulatorSettings, fit
from vestige.progress import Progress
from vestige.training.cache import _keys
from vestige.training.examples import label_views
from vestige.training.export import export
from vestige.training.imprinting import imprinter_of
from vestige.training.recipe import Recipe, parse_recipe
from vestige.training.run import make_examples, new_network, train
from vestige.training.views import View, plan, view_pixels

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
IMPRINTING = {"share": 0.25, "per_group": 2}


def simulator(scale: float = 3.0, seed: int = 0) -> Simulator:
    rng = np.random.default_rng(seed)
    some = {"loud": rng.laplace(0, scale, (6, 32, 32, 3)), "low": rng.laplace(0, scale / 3, (6, 32, 32, 3))}
    differences = {name: values.astype(np.float32) for name, values in some.items()}
    return fit(differences, differences, SimulatorSettings(block=8, colours="rgb"))


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return read_manifest(write_set(tmp_path / "set", groups=2, each=3), "train")


@pytest.fixture
def recipe() -> Recipe:
    data = {"patch": 64, "views": 2, "chain": AS_FOUND, "imprinting": IMPRINTING}
    return parse_recipe(recipe_values("srm-statistics", data=data), "test")


def test_an_imprinted_view_is_the_original_and_an_imprint(rows: list[Row], recipe: Recipe) -> None:
    imprinter = Imprinter(simulator(), ImprintOptions())
    views = [View(0, draw, made) for made in (False, True) for draw in (0, 1)]
    pixels = view_pixels(views, rows, recipe.data, 3, {0: imprinter})
    apart = [pixels[2 + draw].astype(int) - pixels[draw] for draw in (0, 1)]
    for one in apart:
        # The same crop: only the imprint is between them.
        assert 0.5 < one.std() < 6
        assert abs(one.mean()) < 1
    again = view_pixels(views[2:], rows, recipe.data, 3, {0: imprinter})
    assert all(np.array_equal(one, other) for one, other in zip(again, pixels[2:], strict=True))
    other_seed = view_pixels(views[2:3], rows, recipe.data, 4, {0: imprinter})
    assert not np.array_equal(other_seed[0], pixels[2])


def test_an_imprint_changes_nothing_of_what_the_chain_draws(rows: list[Row]) -> None:
    """With random resizing and cropping the pair still differs in the imprint alone."""
    chain = AS_FOUND | {"resize": 1.0, "resize_factor": [0.8, 0.8]}
    data = {"patch": 64, "views": 1, "chain": chain}
    recipe = parse_recipe(recipe_values("srm-statistics", data=data), "test")
    silent = Imprinter(simulator(), ImprintOptions(strength=(0.0, 1e-9)))
    views = [View(0, 0, False), View(0, 0, True)]
    one, other = view_pixels(views, rows, recipe.data, 3, {0: silent})
    assert np.array_equal(one, other)


def test_the_cache_tells_imprints_apart(rows: list[Row]) -> None:
    views = [View(0, 0, False), View(0, 0, True), View(0, 1, True)]
    keys = [
        _keys(rows, views, {0: Imprinter(simulator(scale), options)}, Progress())
        for scale, options in (
            (3.0, ImprintOptions()),
            (4.0, ImprintOptions()),
            (3.0, ImprintOptions(fusion="single")),
        )
    ]
    assert len({row[0] for row in keys}) == 1, "originals are shared"
    assert len({key for row in keys for key in row}) == 1 + 3 * 2


def test_imprints_count_as_generated_and_take_their_share() -> None:
    data = {"imprinting": {"share": 0.25}, "views": 1}
    recipe = parse_recipe(recipe_values("srm-statistics", data=data), "test")
    rows = rows_of({(0, "camera"): 8, (1, "generator"): 4})
    views = plan(recipe.data, len(rows), [0, 1, 2])
    examples = label_views(recipe, rows, views, [])
    made = np.array([view.reconstructed for view in views])
    assert examples.labels[made].tolist() == [1, 1, 1]
    generated = examples.labels == 1
    assert examples.weights[made].sum() / examples.weights[generated].sum() == pytest.approx(0.25)
    assert examples.weights[generated].sum() == pytest.approx(examples.weights[~generated].sum())


def test_real_pictures_alone_get_imprints(rows: list[Row], recipe: Recipe, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    (weights / "simulator").mkdir(parents=True)
    simulator().save(weights / "simulator" / "network.safetensors")
    network = new_network(recipe, weights)
    examples = make_examples(recipe, rows, weights, network, tmp_path, Progress())
    made = examples.reconstructed
    assert {rows[row].label for row in examples.rows[made]} == {0}
    # Two pictures of each of two sources, two views of each.
    assert made.sum() == 2 * 2 * 2
    assert not (tmp_path / "reconstructions").exists()


def test_without_a_simulator_it_says_where_one_comes_from(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--stage simulator"):
        imprinter_of(recipe, tmp_path)


def test_a_generator_that_the_simulator_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "simulator").mkdir()
    simulator().save(tmp_path / "simulator" / "network.safetensors")
    data = {"imprinting": {"generators": ["loud", "unheard"]}}
    recipe = parse_recipe(recipe_values("srm-statistics", data=data), "test")
    with pytest.raises(ConfigError, match="unheard"):
        imprinter_of(recipe, tmp_path)


def test_one_kind_of_made_pictures_at_most() -> None:
    data = {"imprinting": {"share": 0.2}, "reconstruction": {"share": 0.2, "per_group": 1}}
    with pytest.raises(
        ConfigError, match="choose one of reconstruction, self_augmentation, imprinting and manipulation"
    ):
        parse_recipe(recipe_values("srm-statistics", data=data), "test")


def test_methods_without_pixels_get_none() -> None:
    with pytest.raises(ConfigError, match=r"imprinting changes pixels, and metadata-only looks at facts"):
        parse_recipe(recipe_values("metadata-only", data={"imprinting": {"share": 0.2}}), "test")


def test_a_run_knows_its_simulator_and_its_card_names_the_generators(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", groups=2, each=3)
    (tmp_path / "weights").mkdir()
    file = tmp_path / "weights" / "simulator.safetensors"
    replace(simulator(), notes=("a network of somebody, MIT",)).save(file)
    data = {"patch": 64, "views": 1, "chain": AS_FOUND, "imprinting": IMPRINTING}
    recipe = write_recipe(tmp_path / "recipe.yaml", "srm-statistics", data=data)
    train(recipe, manifest, tmp_path / "weights", tmp_path / "run")
    card = export(tmp_path / "run", manifest, tmp_path / "package")
    # The simulator may have been fitted to the very sources that the calibration holds out.
    assert "its earlier stages had seen real pictures of these sources" in card.calibration.data
    training = card.training
    assert (
        "; 4 of its real pictures also with imprints of simulated generators (fitted to loud, low)"
        in training.data
    )
    assert training.starting_weights == ["for imprints: a network of somebody, MIT"]
    simulator(4.0).save(file)
    with pytest.raises(ConfigError, match="another simulator of imprints"):
        train(recipe, manifest, tmp_path / "weights", tmp_path / "run")
