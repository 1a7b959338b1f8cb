import numpy as np
import pytest
from image_files import photo, saved
from PIL import Image

from vestige.images import decode
from vestige.images.facts import estimate_quality


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_quality_is_found(quality):
    assert decode(saved(photo(16, 16), "JPEG", quality=quality)).facts.jpeg.quality == quality


@pytest.mark.parametrize("quality", range(2, 101))
def test_grey_has_one_table_only(quality):
    jpeg = decode(saved(photo(16, 16)[:, :, 0], "JPEG", quality=quality)).facts.jpeg
    assert len(jpeg.quantisation) == 1
    assert jpeg.quality == quality


def test_near_tables_and_foreign_tables():
    exact = decode(saved(photo(), "JPEG", quality=80)).facts.jpeg.quantisation
    near = list(exact[0])
    near[63] += 2
    assert estimate_quality(tuple(near), tuple(exact[1])) == 80
    assert estimate_quality(tuple([7] * 64)) is None
    assert estimate_quality(()) is None
    # Presets of a program with tables of its own.
    assert decode(saved(photo(), "JPEG", qtables="web_low")).facts.jpeg.quality is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"subsampling": 0}, "4:4:4"), ({"subsampling": 1}, "4:2:2"), ({"subsampling": 2}, "4:2:0")],
)
def test_subsampling(options, expected):
    assert decode(saved(photo(), "JPEG", **options)).facts.jpeg.subsampling == expected


def test_other_facts():
    facts = decode(saved(photo(), "JPEG", progressive=True)).facts
    assert facts.jpeg.progressive
    assert not decode(saved(photo(), "JPEG")).facts.jpeg.progressive
    assert decode(saved(photo()[:, :, 0], "JPEG")).facts.jpeg.subsampling == "grey"
    assert decode(saved(photo(), "PNG")).facts.jpeg is None


def test_tables_are_in_row_order():
    table = list(range(1, 65))
    data = saved(photo(), "JPEG", qtables=[table, table])
    assert decode(data).facts.jpeg.quantisation[0] == table
    assert data[data.index(b"\xff\xdb") + 5 :][:4] == bytes([1, 2, 9, 17])  # zigzag in the file


def test_decoding_is_pillows_own():
    data = saved(photo(), "JPEG", quality=71)
    from io import BytesIO

    np.testing.assert_array_equal(decode(data).pixels, np.asarray(Image.open(BytesIO(data))))
