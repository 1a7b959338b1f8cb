"""The byte-delivery test: ten ways to ship a picture, and what is said about the scores they get."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from protocol_pictures import opened, photo, pixels_of, psnr, saved

from vestige.errors import DataError, ImageError
from vestige.evaluation.protocols import LeftOut, deliveries, summarise
from vestige.evaluation.protocols.delivery import NAMES
from vestige.images import decode

EXIF = Image.Exif()
EXIF[0x010F] = "Camera"
PIXELS = photo(500, 401)
ORIGINAL = saved(PIXELS, "JPEG", quality=92, exif=EXIF)

REAL, UNSURE, GENERATED = "likely_real", "inconclusive", "likely_generated"
PARTLY = "likely_partly_generated"


def shipped(content: bytes = ORIGINAL) -> dict[str, bytes]:
    return {found.name: found.content for found in deliveries(content, "a.jpg")}


def test_ten_ways_with_sizes_and_encodings() -> None:
    found = {}
    for name, content in shipped().items():
        facts = decode(content).facts
        jpeg = (facts.jpeg.quality, facts.jpeg.subsampling) if facts.jpeg else None
        found[name] = (facts.format, facts.width, facts.height, jpeg, facts.has_exif)
    assert found == {
        "as-found": ("JPEG", 500, 401, (92, "4:2:0"), True),
        "stripped": ("PNG", 500, 401, None, False),
        "jpeg-95": ("JPEG", 500, 401, (95, "4:4:4"), False),
        "jpeg-75": ("JPEG", 500, 401, (75, "4:2:0"), False),
        "webp-80": ("WEBP", 500, 401, None, False),
        "half-size": ("JPEG", 250, 200, (80, "4:2:0"), False),
        "messenger": ("JPEG", 400, 321, (70, "4:2:0"), False),
        "jpeg-twice": ("JPEG", 500, 401, (80, "4:2:0"), False),
        "trimmed": ("JPEG", 450, 361, (85, "4:2:0"), False),
        "screenshot": ("JPEG", 375, 301, (90, "4:2:0"), False),
    }
    assert tuple(found) == NAMES


def test_the_first_is_the_file_and_the_second_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(ORIGINAL)
    first, second, *_ = deliveries(path, "a.jpg")
    assert first.content == ORIGINAL
    assert np.array_equal(pixels_of(second.content), decode(path).pixels)
    assert not {"exif", "icc_profile"} & set(opened(second.content).info)


def test_the_ways_are_what_they_are_called() -> None:
    pixels = decode(ORIGINAL).pixels
    found = shipped()
    assert found["jpeg-95"] == saved(pixels, "JPEG", quality=95, subsampling=0)
    assert found["webp-80"] == saved(pixels, "WEBP", quality=80, method=4)
    half = np.asarray(Image.fromarray(pixels).resize((250, 200), Image.Resampling.LANCZOS))
    assert found["half-size"] == saved(half, "JPEG", quality=80, subsampling=2)
    once = pixels_of(saved(pixels, "JPEG", quality=90, subsampling=2))
    assert found["jpeg-twice"] == saved(once, "JPEG", quality=80, subsampling=2)
    edge = np.ascontiguousarray(pixels[20:381, 25:475])
    assert found["trimmed"] == saved(edge, "JPEG", quality=85, subsampling=2)


def test_every_way_still_shows_the_picture() -> None:
    smooth = np.tile(np.linspace(20, 220, 600).astype(np.uint8)[None, :, None], (600, 1, 3))
    for name, content in shipped(saved(smooth)).items():
        image = opened(content).convert("RGB").resize((600, 600))
        expected = smooth if name != "trimmed" else Image.fromarray(smooth).crop((30, 30, 570, 570))
        expected = np.asarray(Image.fromarray(np.asarray(expected)).resize((600, 600)))
        assert psnr(expected, np.asarray(image)) > 25, name


def test_large_pictures_are_shrunk_to_what_messengers_and_displays_show() -> None:
    found = shipped(saved(np.full((1000, 2048, 3), 70, np.uint8)))
    assert opened(found["messenger"]).size == (1280, 625)
    assert opened(found["screenshot"]).size == (1440, 703)
    # Up to 1600 px, 0.8 of the size is the smaller one.
    found = shipped(saved(np.full((100, 1500, 3), 70, np.uint8)))
    assert opened(found["messenger"]).size == (1200, 80)
    assert opened(found["screenshot"]).size == (1125, 75)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90))
def test_any_size_can_be_shipped(width: int, height: int) -> None:
    for name, content in shipped(saved(photo(width, height))).items():
        found_width, found_height = opened(content).size
        assert 1 <= found_width <= width, name
        assert 1 <= found_height <= height, name


def test_shipping_is_the_same_each_time() -> None:
    assert deliveries(ORIGINAL, "a") == deliveries(ORIGINAL, "b")


def test_texts_are_sentences() -> None:
    for found in deliveries(ORIGINAL, "a"):
        assert found.text[0].isupper() or found.text.startswith("5 %"), found.name
        assert found.text.endswith("."), found.name


def test_what_cannot_be_shipped() -> None:
    with pytest.raises(ImageError):
        deliveries(b"no picture", "a")
    with pytest.raises(LeftOut, match="16384 pixels, more than the 16383 of WebP"):
        deliveries(saved(np.zeros((2, 16384, 3), np.uint8)), "a")


WAYS = ["as-found", "small", "again"]
PROBABILITIES = np.array(
    [
        [0.5, 0.5, 0.5],  # real, never decided
        [0.2, 0.9, 0.1],  # real, flipped
        [0.9, 0.5, 0.9],  # generated, changed
        [0.8, 0.9, 1.0],  # generated, stays; 1.0 is taken as 1 - 1e-6
        [0.1, 0.2, 0.9],  # generated, flipped
    ]
)
VERDICTS = [
    [UNSURE, UNSURE, UNSURE],
    [REAL, GENERATED, REAL],
    [GENERATED, UNSURE, GENERATED],
    [GENERATED, GENERATED, GENERATED],
    [REAL, REAL, GENERATED],
]
LABELS = np.array([0, 0, 1, 1, 1])
NINE = 2.1972245773362196  # log 9, the log-odds of 0.9
FOUR = 1.3862943611198906  # log 4, the log-odds of 0.8


def test_a_generated_part_counts_as_a_call_of_generated() -> None:
    found = [[REAL, PARTLY, REAL], [GENERATED, PARTLY, GENERATED], [PARTLY, UNSURE, PARTLY], [PARTLY] * 3]
    probabilities = np.full((4, 3), 0.4)
    spread = summarise(WAYS, probabilities, found, np.array([0, 1, 1, 1]), draws=20).spread
    assert spread.flipped.tolist() == [True, False, False, False]
    assert spread.changed.tolist() == [True, True, True, False]


def test_spread_by_hand() -> None:
    spread = summarise(WAYS, PROBABILITIES, VERDICTS, LABELS, draws=20).spread
    assert spread.ranges == pytest.approx([0, 0.8, 0.4, 0.2, 0.8])
    assert spread.flipped.tolist() == [False, True, False, False, True]
    assert spread.changed.tolist() == [False, True, True, False, True]
    # 9, 0, 9 in log-odds: mean 2/3, variance 2/9 of the square.
    assert spread.deviations[2] == pytest.approx(NINE * np.sqrt(2) / 3)
    assert spread.deviations[0] == 0
    values = [FOUR, NINE, np.log((1 - 1e-6) / 1e-6)]
    centre = sum(values) / 3
    assert spread.deviations[3] == pytest.approx(np.sqrt(sum((value - centre) ** 2 for value in values) / 3))


def test_summary_by_hand() -> None:
    found = summarise(WAYS, PROBABILITIES, VERDICTS, LABELS, draws=20)
    assert list(found.classes) == ["all", "real", "generated"]
    assert found.ways == ("as-found", "small", "again")
    everything, real, generated = (found.classes[name] for name in ("all", "real", "generated"))
    assert [everything.pictures, real.pictures, generated.pictures] == [5, 2, 3]
    assert everything.ranges.mean.value == pytest.approx(0.44)
    assert everything.ranges.median.value == pytest.approx(0.4)
    assert generated.ranges.median.value == pytest.approx(0.4)
    # Sorted 0.2, 0.4, 0.8: the 95th percentile lies at 1.9 of 2 steps.
    assert generated.ranges.p95.value == pytest.approx(0.76)
    assert real.ranges.p95.value == pytest.approx(0.76)
    assert real.deviations.mean.value == pytest.approx(np.std([-FOUR, NINE, -NINE]) / 2)
    assert (everything.flips.count, everything.flips.share.value) == (2, pytest.approx(0.4))
    assert (everything.changes.count, everything.changes.share.value) == (3, pytest.approx(0.6))
    assert (real.flips.count, real.changes.count) == (1, 1)
    assert (generated.flips.count, generated.changes.count) == (1, 2)


def test_shifts_by_hand() -> None:
    found = summarise(WAYS, PROBABILITIES, VERDICTS, LABELS, draws=20).classes
    small, again = found["generated"].shifts["small"], found["generated"].shifts["again"]
    assert list(found["all"].shifts) == ["small", "again"]
    assert small.probability.value == pytest.approx((-0.4 + 0.1 + 0.1) / 3)
    assert small.log_odds.value == pytest.approx((-NINE + (NINE - FOUR) + (NINE - FOUR)) / 3)
    assert (small.changed.count, small.changed.share.value) == (1, pytest.approx(1 / 3))
    assert again.probability.value == pytest.approx((0 + 0.2 + 0.8) / 3)
    assert again.changed.count == 1
    assert found["real"].shifts["small"].changed.count == 1
    assert found["real"].shifts["again"].changed.count == 0
    assert found["all"].shifts["again"].probability.value == pytest.approx((0 - 0.1 + 0 + 0.2 + 0.8) / 5)


def scored(count: int) -> tuple[np.ndarray, list[list[str]], np.ndarray]:
    rng = np.random.default_rng(1)
    found = rng.random((count, 3))
    verdicts = [[GENERATED if value > 0.7 else REAL for value in row] for row in found]
    return found, verdicts, np.arange(count) % 2


def test_intervals_are_determined_by_the_seed() -> None:
    probabilities, verdicts, labels = scored(60)
    one = summarise(WAYS, probabilities, verdicts, labels, draws=50)
    assert one.classes == summarise(WAYS, probabilities, verdicts, labels, draws=50).classes
    assert one.classes != summarise(WAYS, probabilities, verdicts, labels, draws=50, seed=1).classes


def test_intervals_have_the_width_that_theory_gives() -> None:
    probabilities, verdicts, labels = scored(400)
    found = summarise(WAYS, probabilities, verdicts, labels)
    real = found.classes["real"]
    own = found.spread.ranges[labels == 0]
    width = real.ranges.mean.high - real.ranges.mean.low
    assert width == pytest.approx(2 * 1.96 * own.std() / np.sqrt(200), rel=0.12)
    share = real.flips.share
    assert share.high - share.low == pytest.approx(
        2 * 1.96 * np.sqrt(share.value * (1 - share.value) / 200), rel=0.12
    )


def test_pictures_of_one_source_are_resampled_together() -> None:
    probabilities, verdicts, labels = (np.repeat(part, 10, axis=0) for part in scored(40))
    alone = summarise(WAYS, probabilities, verdicts.tolist(), labels, draws=300)
    names = [str(number // 10) for number in range(400)]
    together = summarise(WAYS, probabilities, verdicts.tolist(), labels, names, draws=300)
    for name, found in together.classes.items():
        other = alone.classes[name].ranges.mean
        assert found.ranges.mean.value == other.value
        assert found.ranges.mean.high - found.ranges.mean.low > 2 * (other.high - other.low)


def test_a_single_source_has_no_interval() -> None:
    found = summarise(WAYS, PROBABILITIES[:2], VERDICTS[:2], LABELS[:2], ["one", "one"], draws=20)
    mean = found.classes["real"].ranges.mean
    assert mean.value == pytest.approx(0.4)
    assert np.isnan([mean.low, mean.high]).all()


def test_one_class_alone() -> None:
    found = summarise(WAYS, PROBABILITIES[:2], VERDICTS[:2], LABELS[:2], draws=20)
    assert list(found.classes) == ["all", "real"]
    assert found.classes["all"] == found.classes["real"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": ["small", "as-found", "again"]}, "'as-found' first"),
        ({"ways": ["as-found", "small", "small"]}, "different names"),
        ({"ways": WAYS[:2]}, r"shape \(5, 3\)"),
        ({"probabilities": PROBABILITIES[:4]}, r"shape \(4, 3\)"),
        ({"probabilities": PROBABILITIES * np.nan}, "calibrated"),
        ({"probabilities": PROBABILITIES * 2}, "calibrated"),
        ({"verdicts": VERDICTS[:4]}, "12 verdicts"),
        ({"verdicts": [["", "", ""], *VERDICTS[1:]]}, r"got \[''\]"),
        ({"labels": LABELS + 1}, "labels must be 0"),
        ({"labels": np.array([], np.int64)}, "at least one picture"),
        ({"clusters": ["a"]}, "as many clusters, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    arguments = {"ways": WAYS, "probabilities": PROBABILITIES, "verdicts": VERDICTS, "labels": LABELS}
    with pytest.raises(DataError, match=message):
        summarise(**(arguments | changes))
