"""Spectra of residuals against formulas, and the comparison as a command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_model
from scipy.signal import welch, wiener, windows

from vestige.apps.spectra import SpectraOptions, run
from vestige.data.manifest import write_manifest
from vestige.errors import ConfigError, DataError
from vestige.evaluation.coverage import Report
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.spectra import (
    BINS,
    FLOOR,
    Simulator,
    Spectrometer,
    draw_structures,
    high_pass,
    instruments,
    spectra,
)
from vestige.methods.gensign.structure import StructureSpace

TINY = DairConfig(encoder=(4, 6, 8), decoder=(6, 4, 4), kernels=2, groups=2)
TINY_EXTRACTOR = ExtractorConfig(width=4, blocks=1, groups=2)
SPACE = StructureSpace()


def grid(side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return y.float(), x.float()


def grey(plane: torch.Tensor) -> torch.Tensor:
    return plane.expand(1, 3, *plane.shape)


def quadrant(residuals: torch.Tensor) -> torch.Tensor:
    """The first spectrum as rows and columns of frequencies, with the missing (0, 0) at the bottom."""
    found = spectra(residuals)[0]
    return torch.cat([found.new_tensor([-999.0]), found]).view(33, 33)


def peak(residuals: torch.Tensor) -> tuple[int, int]:
    row, column = divmod(int(quadrant(residuals).argmax()), 33)
    return row, column


def tiny_dair(seed: int = 0) -> Dair:
    torch.manual_seed(seed)
    return Dair(TINY).eval()


def noise_crops(count: int, seed: int = 0, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("side", [64, 96, 128])
def test_a_checkerboard_peaks_at_nyquist_on_both_axes(side: int) -> None:
    y, x = grid(side)
    assert peak(grey(((y + x) % 2) * 2 - 1)) == (32, 32)


def test_stripes_peak_at_their_own_frequency_whichever_way_they_run() -> None:
    y, x = grid()
    assert peak(grey(torch.cos(2 * torch.pi * 8 * x / 64))) == (0, 8)
    assert peak(grey(torch.cos(2 * torch.pi * 8 * y / 64))) == (8, 0)
    wave = grey(torch.cos(2 * torch.pi * (5 * y + 20 * x) / 64))
    assert peak(wave) == (5, 20)
    assert peak(grey(torch.cos(2 * torch.pi * (5 * y - 20 * x) / 64))) == (5, 20)
    for axis in (-2, -1):
        torch.testing.assert_close(spectra(wave.flip(axis)), spectra(wave))


def test_white_noise_is_flat_at_its_variance() -> None:
    plane = torch.randn(64, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.1
    power = (10 ** (spectra(plane[:, None].expand(-1, 3, -1, -1)) / 10)).mean(0)
    assert power.shape == (BINS,) == (1088,)
    # Taking the mean off lowers what is next to (0, 0) only.
    assert power.mean() == pytest.approx(0.01, rel=0.02)
    assert power.min() > 0.002
    assert power.max() < 0.02


def test_along_an_axis_it_is_welchs_estimate_of_scipy() -> None:
    # A plane that is the same in all rows is a one-dimensional signal times the window of the rows.
    signal = torch.randn(128, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = 10 ** (quadrant(grey(signal.expand(128, 128)))[0] / 10)
    # Scaled by the frequency 0 of the rows' window: (sum w)^2 / sum w^2.
    hann = windows.hann(64)
    _, expected = welch(signal.numpy(), nperseg=64, noverlap=32, window=hann, return_onesided=False)
    np.testing.assert_allclose(
        found[3:].numpy(), expected[3:33] * hann.sum() ** 2 / (hann**2).sum(), rtol=1e-3, atol=FLOOR
    )


def test_a_residual_of_nothing_has_a_floor() -> None:
    assert spectra(torch.full((1, 3, 64, 64), 0.7)).unique().tolist() == pytest.approx(
        [20 * np.log10(2 * 0.01 / 255)], abs=1e-4
    )


@pytest.mark.parametrize("shape", [(32, 64), (64, 65), (80, 64)])
def test_sides_that_squares_do_not_fill_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        spectra(torch.zeros(1, 3, *shape))


def test_the_high_pass_is_what_scipys_wiener_filter_takes_away() -> None:
    image = torch.from_numpy(noise_crops(1)).permute(0, 3, 1, 2).float() / 255 * 0.1
    image[..., 32:] += 0.5
    plane = (image[0, 1] * 2 - 1).double().numpy()
    expected = plane - wiener(plane, 5, noise=(6 / 255) ** 2)
    # scipy puts zeros around the picture.
    np.testing.assert_allclose(high_pass(image)[0, 1, 2:-2, 2:-2], expected[2:-2, 2:-2], atol=2e-5)


def test_the_high_pass_keeps_grain_and_takes_edges_away() -> None:
    y, x = grid()
    grain = 0.5 + 0.005 * ((y + x) % 2)
    edge = 0.25 + 0.5 * (x >= 32)
    assert high_pass(grey(grain)).std() == pytest.approx(0.005, rel=0.1)
    assert high_pass(grey(edge)).abs().max() < 0.03


def test_spectra_do_not_depend_on_order_or_company() -> None:
    crops = noise_crops(20)
    measure = Spectrometer(high_pass, 90)
    whole = measure(crops)
    np.testing.assert_array_equal(measure(crops[::-1])[::-1], whole)
    np.testing.assert_allclose(measure(crops[3:4]), whole[3:4], atol=1e-4)
    structures = draw_structures(SPACE, 4, 0)
    simulator = Simulator(tiny_dair(), crops[:3], measure)
    turned = Simulator(tiny_dair(), crops[2::-1].copy(), measure)
    found = simulator.spectra(structures)
    np.testing.assert_allclose(turned.spectra(structures), found, atol=0.01)
    np.testing.assert_array_equal(simulator.spectra(structures[::-1])[::-1], found)
    assert len({row.tobytes() for row in found}) == 4


def test_encoding_once_more_changes_what_is_measured() -> None:
    crops = noise_crops(2)
    seen = []

    def keep(images: torch.Tensor) -> torch.Tensor:
        seen.append((images * 255).round().byte().permute(0, 2, 3, 1).numpy())
        return images

    Spectrometer(keep, None)(crops)
    Spectrometer(keep, 50)(crops)
    np.testing.assert_array_equal(seen[0], crops)
    assert np.abs(seen[1].astype(int) - crops).max() > 20
    assert Spectrometer(keep, 50)(crops[:0]).shape == (0, BINS)


def test_a_simulator_reconstructs_as_the_reconstructor_does() -> None:
    dair, crops = tiny_dair(), noise_crops(3)
    for structure in draw_structures(SPACE, 6, 1):
        with torch.no_grad():
            images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
            made = dair(images, [structure] * 3).clamp(0, 1).permute(0, 2, 3, 1).numpy() * 255
        found = Simulator(dair, crops, Spectrometer(high_pass, None)).crops(structure)
        assert found.dtype == np.uint8
        assert np.abs(found - made).max() <= 0.5 + 1e-3


def test_fewer_structures_are_the_beginning_of_more_and_none_comes_twice() -> None:
    many = draw_structures(SPACE, 300, 5)
    assert draw_structures(SPACE, 100, 5) == many[:100]
    assert len(set(many)) == 300
    assert draw_structures(SPACE, 100, 6) != many[:100]
    small = StructureSpace(
        levels=1, upsamplings=("nearest",), activations=("gelu",), normalisations=("batch",)
    )
    assert len(set(draw_structures(small, 42, 0))) == small.count() == 42
    with pytest.raises(ConfigError, match="has 42"):
        draw_structures(small, 43, 0)


# From here on the command.


def write_stage(folder: Path, network: torch.nn.Module, config: dict) -> None:  # type: ignore[type-arg]
    folder.mkdir(parents=True)
    save_model(network, str(folder / "network.safetensors"))
    (folder / "stage.json").write_text(json.dumps({"config": config}))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a reconstructor that was never trained, without an extractor."""
    folder = tmp_path_factory.mktemp("run")
    space = SPACE.model_dump(mode="json")
    write_stage(folder / "dair", tiny_dair(), {"model": TINY.model_dump(mode="json"), "space": space})
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, two sources; one generator with too few pictures, one source with a small picture."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for label, group, count in (
        (0, "camera", 7),
        (0, "scans", 6),
        (1, "gan", 3),
        (1, "rare", 2),
        (1, "vae", 4),
    ):
        for number in range(count):
            side = 50 if (group, number) == ("scans", 0) else 70
            smooth = rng.integers(40, 200, (5, 5, 3), dtype=np.uint8)
            picture = np.asarray(Image.fromarray(smooth).resize((side, side), Image.Resampling.BICUBIC))
            grain = rng.normal(0, 3 + 4 * label, picture.shape)
            path = folder / f"{group}-{number}.png"
            Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)).save(path)
            row = {
                "path": path.name,
                "label": label,
                "group": group,
                "split": "dev" if number % 2 else "train",
            }
            rows.append(row)
    write_manifest(folder / "manifest.csv", rows)
    return folder / "manifest.csv"


@pytest.fixture
def options(trained: Path, manifest: Path, tmp_path: Path) -> SpectraOptions:
    return SpectraOptions(trained, manifest, tmp_path / "out", (10, 30), 3, 5, side=64)


def report(options: SpectraOptions) -> Report:
    return Report.model_validate_json((options.out / "spectra.json").read_text())


def test_the_command_says_all_numbers(options: SpectraOptions, capsys: pytest.CaptureFixture[str]) -> None:
    run(options)
    found = report(options)
    assert len(found.structures) == 30
    assert [(point.kind, point.name) for point in found.points] == [
        ("generator", "gan"),
        ("generator", "vae"),
        ("source", "camera"),
        ("source", "scans"),
        ("originals", "originals"),
    ]
    base = found.settings["base"]
    assert len(base) == 3
    assert {name.split("-")[0] for name in base} == {"camera", "scans"}
    # What was reconstructed stands for itself and not for its source.
    pictures = {point.name: point.pictures for point in found.points}
    assert pictures["gan"] == 3
    assert pictures["vae"] == 4
    assert pictures["originals"] == 3
    assert pictures["camera"] <= 7 - sum(name.startswith("camera") for name in base)
    assert found.left_out == [{"kind": "generator", "name": "rare", "pictures": 2, "too_small": 0}]
    assert set(found.too_small) <= {"source scans"}
    assert found.settings["residual"] == "highpass"
    assert len(found.settings["sha256"]["dair"]) == 64
    assert [(one.structures, one.space, one.radius_of) for one in found.coverings] == [
        (count, space, radius)
        for count in (10, 30)
        for space in ("components", "frequencies")
        for radius in ("own", "largest")
    ]
    assert (options.out / "spectra.svg").read_text().startswith("<svg")
    assert Image.open(options.out / "spectra.png").size[0] == 800
    said = capsys.readouterr().out
    assert "left out, fewer than 3 pictures: generator rare" in said
    assert found.conclusion in said


def test_originals_without_reconstruction_are_measured_as_any_picture(options: SpectraOptions) -> None:
    run(options)
    base = report(options).settings["base"]
    crops = np.stack([np.asarray(Image.open(options.data.parent / name))[3:67, 3:67] for name in base])
    expected = Spectrometer(high_pass, 90)(crops).mean(0)
    with np.load(options.out / "structures" / "000000-25.npz") as kept:
        structures = kept["spectra"]
    point = report(options).points[-1]
    nearest = np.sqrt(((structures - expected) ** 2).mean(1)).min()
    with np.load(options.out / "structures" / "000025-5.npz") as kept:
        nearest = min(nearest, np.sqrt(((kept["spectra"] - expected) ** 2).mean(1)).min())
    assert point.distance_frequencies == pytest.approx(nearest, abs=2e-3)


def test_an_interrupted_run_ends_with_the_same_file(options: SpectraOptions) -> None:
    run(options)
    whole = (options.out / "spectra.json").read_bytes()
    kept = options.out / "structures" / "000000-25.npz"
    changed = kept.stat().st_mtime_ns
    for name in ("structures/000025-5.npz", "groups/000001.npz", "spectra.json", "spectra.svg"):
        (options.out / name).unlink()
    run(options)
    assert (options.out / "spectra.json").read_bytes() == whole
    assert kept.stat().st_mtime_ns == changed


def test_more_structures_go_on_from_fewer(options: SpectraOptions) -> None:
    run(replace(options, structures=(10,)))
    assert len(report(options).structures) == 10
    run(options)
    extended = (options.out / "spectra.json").read_bytes()
    shutil.rmtree(options.out)
    run(options)
    assert (options.out / "spectra.json").read_bytes() == extended


def test_a_folder_keeps_to_what_it_was_begun_with(options: SpectraOptions) -> None:
    run(replace(options, structures=(10,)))
    with pytest.raises(ConfigError, match="another jpeg, seed"):
        run(replace(options, jpeg=0, seed=1, per_structure=3))
    (options.out / "settings.json").unlink()
    with pytest.raises(ConfigError, match="not empty"):
        run(options)


def test_a_damaged_file_is_named(options: SpectraOptions) -> None:
    run(options)
    (options.out / "groups" / "000000.npz").write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"000000\.npz: cannot be read"):
        run(options)


def test_the_extractor_of_the_run_is_taken_where_there_is_one(trained: Path, tmp_path: Path) -> None:
    assert instruments(trained, None).operator is high_pass
    with pytest.raises(ConfigError, match="no trained extractor"):
        instruments(trained, "extractor")
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    torch.manual_seed(0)
    model = TINY_EXTRACTOR.model_dump(mode="json")
    write_stage(folder / "extractor", Extractor(TINY_EXTRACTOR), {"model": model})
    found = instruments(folder, None)
    assert found.residual == "extractor"
    assert isinstance(found.operator, Extractor)
    assert set(found.sha256) == {"dair", "extractor"}
    assert Spectrometer(found.operator, None)(noise_crops(2)).shape == (2, BINS)
    assert instruments(folder, "highpass").operator is high_pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"structures": ()}, "--structures"),
        ({"structures": (9, 30)}, "at least 10, got 9"),
        ({"structures": (30, 10**13)}, "10000000000000 structures asked for"),
        ({"per_structure": 1}, "--per-structure"),
        ({"pictures": 2}, "--pictures"),
        ({"side": 72}, "--side"),
        ({"side": 32}, "--side"),
        ({"side": -64}, "--side"),
        ({"jpeg": 101}, "--jpeg"),
        ({"jpeg": -1}, "--jpeg"),
        ({"seed": -1}, "--seed"),
        ({"run": Path("nowhere")}, "no trained dair in nowhere.dair: .* vestige train RECIPE --stage dair$"),
    ],
)
def test_what_makes_no_sense_is_refused(options: SpectraOptions, change: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=words):
        run(replace(options, **change))


def test_too_few_pictures_to_reconstruct_are_refused(options: SpectraOptions) -> None:
    with pytest.raises(DataError, match="there are 12"):
        run(replace(options, per_structure=13, pictures=13))
    with pytest.raises(DataError, match="no rows"):
        run(replace(options, split="sealed"))


def test_only_one_split(options: SpectraOptions) -> None:
    run(replace(options, split="dev", per_structure=2, structures=(10,)))
    found = report(options)
    assert {name.rsplit("-", 1)[1] for name in found.settings["base"]} <= {"1.png", "3.png", "5.png"}
    assert {row["name"] for row in found.left_out} >= {"gan", "rare"}
