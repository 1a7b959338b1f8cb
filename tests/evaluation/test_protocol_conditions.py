"""The single protocols: exact in size and encoding, blind to the class, the same on every run."""

import hashlib
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from protocol_pictures import applied, opened, photo, pixels_of, saved

from vestige.errors import ConfigError, ImageError
from vestige.evaluation.protocols import LeftOut, conditions, known
from vestige.evaluation.protocols.condition import seed_of
from vestige.evaluation.protocols.delivery import NAMES
from vestige.images import decode

PICTURE = saved(photo(700, 600))


def test_as_found_touches_nothing(tmp_path: Path) -> None:
    (condition,) = conditions(["as-found"])
    assert condition.apply(b"not even a picture", "a") == b"not even a picture"
    assert condition.apply(tmp_path / "not-there.png", "a") == tmp_path / "not-there.png"
    assert (condition.title, condition.level) == ("as-found/1", None)


@pytest.mark.parametrize(("name", "side"), [("web", 512), ("hard", 512), ("crop", 320)])
def test_size_encoding_and_nothing_else(name: str, side: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    for options in ({"exif": exif, "dpi": (300, 300), "comment": b"mine"}, {"quality": 30}):
        content = applied(name, saved(photo(700, 600), "JPEG", **options))
        facts = decode(content).facts
        assert (facts.format, facts.width, facts.height, facts.mode) == ("JPEG", side, side, "RGB")
        assert not any([facts.has_exif, facts.has_xmp, facts.has_iptc, facts.has_icc, facts.has_c2pa])
        assert facts.jpeg is not None
        assert facts.jpeg.subsampling == "4:2:0"
        assert not facts.jpeg.progressive
        assert set(opened(content).info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        if name != "hard":
            assert facts.jpeg.quality == 85


def test_the_picture_is_turned_upright_first() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(photo(600, 520), "PNG", exif=exif)
    upright = saved(np.rot90(photo(600, 520), -1))
    assert applied("web", turned) == applied("web", upright)


@pytest.mark.parametrize(("name", "side"), [("web", 512), ("hard", 512), ("none", 512), ("crop", 320)])
def test_too_small_pictures_are_left_out(name: str, side: int) -> None:
    (condition,) = conditions([name])
    for size in ((side - 1, 600), (600, side - 1), (side - 1, side - 1)):
        with pytest.raises(LeftOut) as caught:
            condition.apply(saved(photo(*size)), "a")
        assert caught.value.reason == (
            f"The shorter side has {side - 1} pixels, fewer than the {side} that {name}/1 needs."
        )
    for size in ((side, side), (side + 1, side), (side, side + 1), (side + 1, side + 1)):
        assert pixels_of(applied(name, saved(photo(*size)))).shape == (side, side, 3)


def test_unreadable_pictures_are_image_errors(tmp_path: Path) -> None:
    (condition,) = conditions(["web"])
    for content in (b"no picture", tmp_path / "not-there.png"):
        with pytest.raises(ImageError):
            condition.apply(content, "a")


def test_web_encodes_a_512_px_picture_without_resampling() -> None:
    pixels = photo(512, 512)
    assert applied("web", saved(pixels)) == saved(pixels, "JPEG", quality=85, subsampling=2)


def test_web_cuts_a_square_out_of_a_512_px_high_picture_without_resampling() -> None:
    pixels = photo(801, 512)
    expected = saved(np.ascontiguousarray(pixels[:, 144:656]), "JPEG", quality=85, subsampling=2)
    assert applied("web", saved(pixels)) == expected


def test_web_shrinks_the_centre_square_with_lanczos() -> None:
    pixels = photo(900, 700)
    square = Image.fromarray(pixels).crop((100, 0, 800, 700)).resize((512, 512), Image.Resampling.LANCZOS)
    expected = saved(np.asarray(square), "JPEG", quality=85, subsampling=2)
    assert applied("web", saved(pixels)) == expected


def test_crop_is_native_pixels() -> None:
    pixels = photo(451, 333)
    expected = np.ascontiguousarray(pixels[6:326, 65:385])
    assert applied("crop", saved(pixels)) == saved(expected, "JPEG", quality=85, subsampling=2)


@settings(max_examples=15, deadline=None)
@given(st.integers(512, 1200), st.integers(512, 1200), st.sampled_from(["web", "hard", "none"]))
def test_every_qualifying_picture_becomes_exactly_512(width: int, height: int, name: str) -> None:
    flat = np.full((height, width, 3), 90, np.uint8)
    assert opened(applied(name, saved(flat))).size == (512, 512)


def test_hard_draws_its_quality_from_the_key() -> None:
    content = saved(photo(512, 512))
    for key in ("a.jpg", "real/b.png", "generated/b.png", "bilder/ä.webp"):
        digest = hashlib.sha256(b"hard/1\0" + key.encode()).hexdigest()
        jpeg = decode(applied("hard", content, key)).facts.jpeg
        assert jpeg is not None
        assert jpeg.quality == 60 + int(digest[-1], 16)


def test_the_drawn_qualities_are_uniform_whatever_the_class() -> None:
    for folder in ("real", "generated"):
        counts = Counter(seed_of("hard", 1, f"{folder}/{number}.jpg") % 16 for number in range(4800))
        assert set(counts) == set(range(16))
        # Chi-squared with 15 degrees of freedom stays below 37.7 with a probability of 0.999.
        assert sum((count - 300) ** 2 / 300 for count in counts.values()) < 37.7


def test_names_with_broken_unicode_are_keys_too() -> None:
    assert seed_of("hard", 1, "\udcff.jpg") != seed_of("hard", 1, "\udcfe.jpg")


def test_the_version_changes_the_draws() -> None:
    assert len({seed_of("hard", 1, "a"), seed_of("hard", 2, "a"), seed_of("noise-2", 1, "a")}) == 3


@pytest.mark.parametrize("name", ["web", "hard", "crop", "noise-5", "screenshot-2"])
def test_neither_place_nor_class_of_the_file_decides(name: str, tmp_path: Path) -> None:
    (condition,) = conditions([name])
    found = set()
    for folder in ("real/flickr", "generated/model-x"):
        path = tmp_path / folder / "picture.bmp"
        path.parent.mkdir(parents=True)
        path.write_bytes(PICTURE)
        found.add(condition.apply(path, "picture.bmp"))
    found.add(condition.apply(PICTURE, "picture.bmp"))
    assert len(found) == 1


@pytest.mark.parametrize("name", ["web", "crop", "none", "jpeg-50", "blur-1", "screenshot-3"])
def test_the_key_changes_nothing_where_nothing_is_drawn(name: str) -> None:
    assert applied(name, PICTURE, "a") == applied(name, PICTURE, "b")


def test_every_condition_gives_the_same_bytes_again() -> None:
    for condition in conditions(["web", "hard", "crop", "sweep"]):
        assert condition.apply(PICTURE, "a") == condition.apply(PICTURE, "a"), condition.title


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "picture.bmp"
    path.write_bytes(PICTURE)
    names = ["hard", "noise-10", "web"]
    script = (
        "import hashlib, pathlib, sys\n"
        "from vestige.evaluation.protocols import conditions\n"
        "for found in conditions(sys.argv[2:]):\n"
        "    print(hashlib.sha256(found.apply(pathlib.Path(sys.argv[1]), 'a.jpg')).hexdigest())\n"
    )
    command = [sys.executable, "-c", script, str(path), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [hashlib.sha256(applied(name, PICTURE)).hexdigest() for name in names]


def test_conditions_and_their_outcomes_cross_process_boundaries() -> None:
    for condition in conditions(["as-found", "web", "noise-5", "screenshot-1"]):
        again = pickle.loads(pickle.dumps(condition))
        assert again == condition
        assert again.apply(PICTURE, "a") == condition.apply(PICTURE, "a")
    assert pickle.loads(pickle.dumps(LeftOut("Too small."))).reason == "Too small."


def test_names_keep_their_order_and_come_once() -> None:
    found = [condition.name for condition in conditions(["web", "jpeg-50", "sweep-webp", "none", "web"])]
    assert found == ["web", "jpeg-50", "none", "webp-90", "webp-75", "webp-50", "webp-30"]


def test_all_sweeps_share_one_start() -> None:
    found = conditions(["sweep", "sweep-jpeg"])
    assert [condition.name for condition in found].count("none") == 1
    assert len(found) == 1 + 6 + 4 + 4 + 4 + 4 + 3 + 3


def test_unknown_names_are_listed_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        conditions(["web", "jpeg-51", "sweep-colour"])
    message = str(caught.value)
    assert message.startswith("no protocol is called 'jpeg-51', 'sweep-colour'; known are as-found, web,")
    assert all(name in message for name, _ in known())


def test_known_is_what_conditions_takes() -> None:
    names = [name for name, _ in known()]
    assert len(set(names)) == len(names)
    single = {condition.name for condition in conditions(names)}
    assert single == {name for name in names if not name.startswith("sweep") and name != "delivery"}
    for name, text in known():
        assert text.endswith("."), name
        assert text[0].isupper(), name


def test_titles_tell_conditions_apart() -> None:
    found = conditions([name for name, _ in known()])
    assert len({condition.title for condition in found}) == len(found)
    assert {c.title for c in found if c.family == "crop"} == {
        "crop/1",
        "crop-0.9/1",
        "crop-0.75/1",
        "crop-0.5/1",
    }
    single = [c.title for c in found if c.level is None and c.family != "delivery"]
    assert single == ["as-found/1", "web/1", "hard/1", "crop/1"]
    assert [c.name for c in found if c.family == "delivery"] == [f"delivery-{name}" for name in NAMES]
