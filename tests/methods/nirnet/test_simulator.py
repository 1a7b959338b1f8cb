"""The simulator: parameters come back, a file holds all of it, foreign files are refused."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from vestige.errors import ConfigError, DataError
from vestige.methods.nirnet.bands import Colours, from_bands, from_colours
from vestige.methods.nirnet.fits import FAMILIES
from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
from vestige.methods.nirnet.simulator import METADATA, Simulator, SimulatorSettings, fit

RNG = np.random.default_rng


def noise(seed: int, pictures: int = 3, side: int = 16) -> np.ndarray:
    return RNG(seed).laplace(0, 3, (pictures, side, side, 3)).astype(np.float32)


def fitted(block: int = 4, names: str = "abc") -> Simulator:
    found = {name: noise(number) * (number + 1) for number, name in enumerate(names)}
    held_back = {name: noise(number + 10, 2) for number, name in enumerate(names)}
    return fit(found, held_back, SimulatorSettings(block=block))


def same(one: Simulator, other: Simulator) -> bool:
    facts = [(s.generators, s.settings, s.pictures, s.coefficients, s.goodness) for s in (one, other)]
    return facts[0] == facts[1] and all(
        np.array_equal(values, other.fits[family].parameters()[name])
        for family in FAMILIES
        for name, values in one.fits[family].parameters().items()
    )


@pytest.mark.parametrize(("block", "colours"), [(1, "rgb"), (4, "opponent"), (8, "rgb")])
def test_known_parameters_are_recovered(block: int, colours: Colours) -> None:
    rng = RNG(3)
    locations, scales = rng.uniform(-5, 5, (2, block, block, 3)), rng.uniform(0.5, 9, (2, block, block, 3))
    blocks, count = 64 // block, 30
    bands = rng.laplace(
        locations[:, None, None, None],
        scales[:, None, None, None],
        (2, count, blocks, blocks, block, block, 3),
    )
    pictures = from_colours(from_bands(bands), colours)
    differences = {"one": pictures[0], "two": pictures[1].astype(np.float32)}
    found = fit(differences, differences, SimulatorSettings(block=block, colours=colours))
    assert found.coefficients == (count * blocks**2,) * 2
    # Both estimators have the asymptotic standard error b / sqrt(n).
    error = scales / np.sqrt(count * blocks**2)
    laplace = found.fits["laplace"]
    assert laplace.location.shape == (2, block, block, 3)
    assert (np.abs(laplace.location - locations) < 5 * error).all()
    assert (np.abs(laplace.scale - scales) < 5 * error).all()
    assert np.square((laplace.scale - scales) / error).mean() < 2


def test_imprints_that_are_fitted_again_have_the_simulators_parameters() -> None:
    first = fitted(names="a")
    imprinter = Imprinter(first, ImprintOptions())
    rng = RNG(0)
    again = np.stack([imprinter.noise(64, 64, rng) for _ in range(40)])
    second = fit({"a": again}, {"a": again[:1]}, first.settings)
    known, found = first.fits["laplace"], second.fits["laplace"]
    error = known.scale / np.sqrt(second.coefficients[0])
    assert (np.abs(found.location - known.location) < 5 * error).all()
    assert (np.abs(found.scale - known.scale) < 5 * error).all()


class FromDisk(Mapping[str, np.ndarray]):
    """Arrays as a cache of features keeps them, float16 with channels first; remembers what was read."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = {name: values.transpose(0, 3, 1, 2).copy() for name, values in arrays.items()}
        self.read: list[str] = []

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.append(name)
        return self.arrays[name].transpose(0, 2, 3, 1)

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@pytest.mark.parametrize("block", [1, 4])
def test_half_precision_read_from_disk_once(block: int) -> None:
    arrays = {name: noise(number).astype(np.float16) for number, name in enumerate("ab")}
    settings, disk = SimulatorSettings(block=block), (FromDisk(arrays), FromDisk(arrays))
    found = fit(*disk, settings)
    assert disk[0].read == disk[1].read == ["a", "b"]
    exact = {name: values.astype(np.float64) for name, values in arrays.items()}
    expected = fit(exact, exact, settings)
    for family in FAMILIES:
        for name, values in expected.fits[family].parameters().items():
            np.testing.assert_allclose(found.fits[family].parameters()[name], values, rtol=1e-4, atol=1e-4)


def test_save_and_load_is_exact(tmp_path: Path) -> None:
    simulator = fitted()
    path = tmp_path / "simulator.safetensors"
    simulator.save(path)
    assert same(Simulator.load(path), simulator)
    simulator.subset(["c", "a"]).save(path)  # views of other arrays
    assert same(Simulator.load(path), simulator.subset(["c", "a"]))


def test_the_same_simulator_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fitted().save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_of_eight_generators_is_small(tmp_path: Path) -> None:
    fitted(block=8, names="abcdefgh").save(tmp_path / "simulator")
    assert (tmp_path / "simulator").stat().st_size < 200_000


def test_goodness_of_all_generators_scopes_and_families() -> None:
    rows = fitted().goodness
    assert len({(row.generator, row.scope, row.family) for row in rows}) == len(rows) == 3 * 2 * 3
    assert {row.pictures for row in rows} == {2}
    assert {row.coefficients for row in rows} == {2 * 16 * 16 * 3}


def test_a_subset_keeps_what_belongs_to_it() -> None:
    simulator = fitted()
    part = simulator.subset(["c", "a"])
    assert part.generators == ("c", "a")
    assert {row.generator for row in part.goodness} == {"a", "c"}
    for family in FAMILIES:
        for name, values in part.fits[family].parameters().items():
            assert np.array_equal(values, simulator.fits[family].parameters()[name][[2, 0]])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "x"], "'x' is no generator of this simulator; choose among a, b, c"),
        ([], "named"),
        (["a"] * 2, "once"),
    ],
)
def test_subsets_that_make_no_sense(names: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        fitted().subset(names)


def test_differences_that_cannot_be_fitted() -> None:
    settings, good = SimulatorSettings(block=4), noise(0)
    bad = good.copy()
    bad[1, 2, 3, 0] = np.nan
    with pytest.raises(DataError, match=r"^a: differences that are not finite"):
        fit({"a": bad}, {"a": good}, settings)
    with pytest.raises(DataError, match=r"^a: differences that are not finite"):
        fit({"a": good}, {"a": bad}, settings)
    with pytest.raises(DataError, match="a: no differences"):
        fit({"a": good}, {"a": good[:0]}, settings)
    with pytest.raises(DataError, match="differences of a are to be fitted and those of b held back"):
        fit({"a": good}, {"b": good}, settings)
    with pytest.raises(DataError, match="no generator"):
        fit({}, {}, settings)
    with pytest.raises(ConfigError, match="blocks of 5 pixels do not fill pictures of 16 x 16"):
        fit({"a": good}, {"a": good}, SimulatorSettings(block=5))
    with pytest.raises(ValueError, match="float"):
        fit({"a": good.astype(np.uint8)}, {"a": good}, settings)


def test_settings_are_checked() -> None:
    for wrong in ({"block": 0}, {"colours": "lab"}, {"blocks": 8}):
        with pytest.raises(ValidationError):
            SimulatorSettings.model_validate(wrong)


def broken(tmp_path: Path, what: str) -> Path:
    """A file that is not quite a simulator."""
    path = tmp_path / "broken.safetensors"
    simulator = fitted()
    simulator.save(path)
    tensors, header = load_file(path), metadata(path)
    if what == "bytes":
        path.write_bytes(b"not a safetensors file at all")
        return path
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-100])
        return path
    if what == "no metadata":
        save_file(tensors, path)
        return path
    if what == "version":
        header["version"] = 2
    elif what == "generators":
        header["generators"] = ["a", "b"]
    elif what == "a generator twice":
        header["generators"] = ["a", "b", "b"]
    elif what == "a tensor":
        del tensors["generalised.shape"]
    elif what == "scale":
        tensors["laplace.scale"][0, 0, 0, 0] = 0
    elif what == "not finite":
        tensors["laplace.location"][0, 0, 0, 0] = np.nan
    elif what == "type":
        tensors["gaussian.scale"] = tensors["gaussian.scale"].astype(np.float64)
    save_file(tensors, path, metadata={METADATA: json.dumps(header)})
    return path


def metadata(path: Path) -> dict:
    content = path.read_bytes()
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(head["__metadata__"][METADATA])


@pytest.mark.parametrize(
    "what",
    [
        "bytes",
        "cut",
        "no metadata",
        "version",
        "generators",
        "a generator twice",
        "a tensor",
        "scale",
        "not finite",
        "type",
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, what: str) -> None:
    path = broken(tmp_path, what)
    with pytest.raises(ConfigError, match="not a simulator of imprints") as caught:
        Simulator.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Simulator.load(tmp_path / "nothing")
