"""Where imprints lie, and their spectra: made-up imprints of which both are known."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.fft import dctn

from vestige.evaluation.imprint_draws import drawn, of_all_but, of_one, white
from vestige.evaluation.imprint_record import Report
from vestige.evaluation.imprint_spectra import SMALLEST, grid_peaks, mean_decibel, ring_curve
from vestige.evaluation.imprints import FEWEST, Imprints, Spectra, measure, vectors
from vestige.evaluation.plots.imprints import places, spectra
from vestige.methods.nirnet.simulator import Simulator, SimulatorSettings, fit

LUMA = np.array([0.299, 0.587, 0.114])
BANDS = 192


def noise(count: int = 8, side: int = 64, strength: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, strength, (count, side, side, 3)).astype(np.float32)


def simulator(*strengths: float) -> Simulator:
    """Generators "a", "b", ... whose differences are white noise of some strength, mostly grey."""
    made = {}
    for number, strength in enumerate(strengths):
        grey = noise(6, 32, strength, number)[..., :1]
        made["abcdef"[number]] = noise(6, 32, strength / 8, 9 + number) + grey
    return fit(made, made, SimulatorSettings())


def test_vectors_are_strengths_of_the_blocks_dct() -> None:
    imprints = noise(3, 16)
    grey = imprints.sum(-1) / 3**0.5
    green = (imprints @ np.array([1, -2, 1], np.float32)) / 6**0.5
    found = vectors(imprints).reshape(3, 8, 8, 3)
    for number in range(3):
        for plane, channel in ((grey, 0), (green, 2)):
            blocks = plane[number].reshape(2, 8, 2, 8).swapaxes(1, 2).reshape(4, 8, 8)
            strength = np.abs([dctn(block, norm="ortho") for block in blocks]).mean(0)
            np.testing.assert_allclose(
                found[number, :, :, channel], 20 * np.log10(strength + 0.01), atol=1e-3
            )
    assert vectors(np.zeros((1, 8, 8, 3), np.float32)).tolist() == [[pytest.approx(-40)] * BANDS]


def test_white_noise_has_its_level_everywhere_and_no_peaks() -> None:
    decibel = mean_decibel(noise(64, 64, 3.0))
    level = 20 * np.log10(3 * np.linalg.norm(LUMA))
    assert decibel.shape == (129, 129)
    # Eight together: the mean of a log lies 0.3 dB below the log of the mean.
    assert decibel.mean() == pytest.approx(level, abs=0.8)
    corner = [decibel[row, column] for row in (0, 128) for column in (0, 128)]
    assert np.mean(corner) == pytest.approx(decibel.mean(), abs=1.5)
    frequencies, curve = ring_curve(decibel)
    assert frequencies[-1] == pytest.approx(0.5**0.5, abs=1 / 64)
    np.testing.assert_allclose(curve[2:-2], decibel.mean(), atol=1)
    peaks = grid_peaks(decibel)
    assert len(peaks) == 5 * 5 - 1
    assert abs(np.mean([peak.decibel for peak in peaks])) < 0.3
    assert max(abs(peak.decibel) for peak in peaks) < 4


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.25, 0.0), (0.0, 0.125), (0.375, 0.25)])
def test_a_regular_pattern_stands_out_where_it_is(x: float, y: float) -> None:
    rows, columns = np.indices((64, 64))
    for sign in (1, -1):
        wave = np.cos(2 * np.pi * (x * columns + sign * y * rows))[..., None]
        peaks = grid_peaks(mean_decibel(noise(16) + wave.astype(np.float32)))
        strongest = max(peaks, key=lambda peak: peak.decibel)
        assert (strongest.x, strongest.y) == (x, y)
        assert strongest.decibel > 15


@pytest.mark.parametrize("y", [0.0, 0.25])
def test_in_the_smallest_imprints_a_peak_does_not_hide_itself(y: float) -> None:
    rows, columns = np.indices((SMALLEST, SMALLEST))
    pure, wave = noise(16, SMALLEST), np.cos(2 * np.pi * (0.25 * columns + y * rows))[..., None]
    decibel = mean_decibel(pure + wave.astype(np.float32))
    (peak,) = [one for one in grid_peaks(decibel) if (one.x, one.y) == (0.25, y)]
    surroundings = decibel[int(256 * y), 64] - peak.decibel
    assert surroundings == pytest.approx(np.median(mean_decibel(pure)), abs=2)
    assert peak.decibel > 25


def test_a_ridge_along_an_axis_is_no_peak() -> None:
    lines = noise(16)[:, :1].repeat(64, 1)  # each picture the same in all its rows
    peaks = grid_peaks(mean_decibel(noise(16, seed=1) + lines))
    assert max(peak.decibel for peak in peaks if not peak.y) < 4


def test_a_few_pictures_with_lines_of_their_own_do_not_draw_them() -> None:
    imprints = noise(64)
    imprints[5] += 50 * np.cos(np.pi * np.arange(64) / 2)[:, None].astype(np.float32)
    (peak,) = [one for one in grid_peaks(mean_decibel(imprints)) if (one.x, one.y) == (0.25, 0)]
    assert peak.decibel < 6  # of about 55 dB in that one picture


def test_blank_imprints_have_a_floor() -> None:
    np.testing.assert_allclose(mean_decibel(np.zeros((2, 32, 32, 3))), -40)


def around(centre: float, spread: float, count: int = FEWEST) -> np.ndarray:
    """Vectors around a place on the first axis, half of them `spread` to each side on the second."""
    rows = np.zeros((count, BANDS))
    rows[:, 0] = centre
    rows[::2, 1], rows[1::2, 1] = spread, -spread
    return rows * BANDS**0.5


def flat() -> Spectra:
    return Spectra(*(np.zeros((129, 129)) for _ in range(3)))


def measured(imprints: dict[str, Imprints], fused: np.ndarray) -> Report:
    return measure(imprints, fused, dict.fromkeys(imprints, flat()), {}, {"camera": FEWEST}, {}, [])


def example(name: str = "a") -> Report:
    return measured(
        {
            name: Imprints(around(0, 2), around(1, 0.5), around(6, 0)),
            "b": Imprints(around(10, 1), around(12, 0), around(5, 0)),
            "c": Imprints(around(4, 1), around(8, 0), around(5, 0)),
        },
        around(3, 0),
    )


def test_distances_are_in_spreads() -> None:
    report = example()
    first, second, third = report.generators
    # The spread of the first is 2, of the others 1; what is scaled is the root mean square over bands.
    assert (first.spread, first.scatter, first.distance) == (2, 0.25, 0.5)
    assert (second.spread, second.scatter, second.distance) == (1, 0, 2)
    assert (first.nearest_fused, second.nearest_fused) == (1.5, 7)
    # Single others of the first lie at 12 and 8; of the third at 1 (and 0.5 aside) and 12.
    assert (first.nearest_others, first.nearest_others_fused) == (4, 3)
    assert third.nearest_others == pytest.approx((3**2 + 0.5**2) ** 0.5, abs=1e-3)
    assert [one.recognised for one in report.generators] == [1, 1, 1]
    # The third's imprints lie at 8: nearer to the second's differences at 10 than to its own at 4.
    assert [one.sampled_recognised for one in report.generators] == [1, 1, 0]


def test_components_are_those_of_the_differences() -> None:
    report = example()
    # Along the first axis differences vary by 152/9, along the second by (4 + 1 + 1) / 3.
    assert report.explained[0] == pytest.approx((152 / 9) / (152 / 9 + 2), abs=1e-3)
    assert sum(report.explained) == pytest.approx(1, abs=1e-3)
    xs = [np.mean([x for x, _ in one.differences]) for one in report.generators]
    sign = np.sign(xs[1])
    assert np.multiply(xs, sign) == pytest.approx(np.array([0, 10, 4]) - 14 / 3, abs=1e-3)
    assert sign * report.fused[0][0] == pytest.approx(3 - 14 / 3, abs=1e-3)


def test_a_difference_is_compared_with_the_others_of_its_generator() -> None:
    alone = np.zeros((FEWEST, BANDS))
    alone[0, 0] = 10 * BANDS**0.5  # its centroid lies at 1, without it at 0; the other generator's at 6
    report = measured(
        {"a": Imprints(alone, around(0, 0), None), "b": Imprints(around(0.4, 0), around(0, 0), None)},
        around(0, 0),
    )
    assert report.generators[0].recognised == 0
    assert report.generators[0].nearest_others is None
    assert not any("left out" in sentence for sentence in report.conclusion)


def test_numbers_of_pictures_that_differ_or_are_few_are_refused() -> None:
    some = Imprints(around(0, 1), around(0, 1), None)
    for imprints, fused in (
        ({"a": some}, around(0, 1, FEWEST + 1)),
        ({}, around(0, 1)),
        ({"a": Imprints(around(0, 1, 4), around(0, 1, 4), None)}, around(0, 1, 4)),
    ):
        with pytest.raises(ValueError, match="imprints of the same pictures, from 10 on"):
            measured(imprints, fused)


@pytest.mark.parametrize(
    ("sampled", "words"),
    [
        (9.0, "sampled imprints carry the peaks"),
        (5.0, "sampled imprints carry a part of the peaks"),
        (1.0, "sampled imprints do not carry the peaks"),
    ],
)
def test_the_conclusion_says_whether_peaks_are_carried(sampled: float, words: str) -> None:
    planes = []
    for height in (10.0, sampled, 0.0):
        plane = np.zeros((129, 129))
        plane[64, 96] = height
        planes.append(plane)
    some = Imprints(around(0, 1), around(0, 1), None)
    report = measure({"a": some}, around(0, 1), {"a": Spectra(*planes)}, {}, {"camera": FEWEST}, {}, [])
    assert report.conclusion[-1].endswith(f"(means): {words}.")
    curves = report.generators[0].curves
    assert (curves.x, curves.y) == (0.375, 0.25)
    assert curves.peaks_sampled.strongest == sampled
    assert curves.peaks_differences.mean == pytest.approx(10 / 24, abs=1e-3)
    assert "hardly any peaks" in example().conclusion[-1]


def test_draws_depend_on_their_own_seed_alone() -> None:
    some = simulator(1, 2, 3)
    seeds = [[0, 1], [0, 2], [0, 3]]
    found = drawn(of_one(some, "b"), 16, seeds)
    assert found.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(drawn(of_one(some, "b"), 16, seeds[::-1])[::-1], found)
    assert not np.array_equal(found[0], found[1])


def test_who_is_left_out_of_a_fusion() -> None:
    others = of_all_but(simulator(1, 2, 3), "b")
    assert others is not None
    assert others.generators == ("a", "c")
    assert of_all_but(simulator(1, 2), "b") is None
    assert of_one(simulator(1, 2), "b").generators == ("b",)


def test_a_white_fit_has_the_strength_of_each_channel_and_no_bands() -> None:
    rows, columns = np.indices((32, 32))
    wave = 8 * np.cos(np.pi * (rows + columns) / 4)[..., None] * np.ones(3)
    differences = (noise(6, 32, 1.0) + wave).astype(np.float32)
    imprints = drawn(white("a", differences, "opponent"), 64, [[number] for number in range(16)])
    grey, red_blue = imprints.sum(-1) / 3**0.5, (imprints[..., 0] - imprints[..., 2]) / 2**0.5
    expected = np.abs(differences.sum(-1)).mean() / 3**0.5
    assert np.abs(grey).mean() == pytest.approx(expected, rel=0.05)
    assert np.abs(red_blue).mean() == pytest.approx((2 / np.pi) ** 0.5, rel=0.05)
    means = vectors(imprints).mean(0).reshape(64, 3)
    assert means[:, 0].std() < 0.5, "all bands of grey are equally strong"


def test_the_report_reads_back_as_it_was() -> None:
    assert Report.model_validate_json(example().model_dump_json()) == example()


def test_any_name_can_be_plotted() -> None:
    report = example('<b>&"</b> $x$ \x1b[31m 画像' + "x" * 300)
    both = places(report), spectra(report, {one.name: flat() for one in report.generators})
    for drawing, words in zip(both, ("10 real pictures of 1 sources", "over 10 pictures"), strict=True):
        assert words in " ".join("".join(part.itertext()) for part in ET.fromstring(drawing.svg).iter())
        assert drawing.png.startswith(b"\x89PNG")
    assert places(report) == both[0]
