import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from image_files import exif_tags, photo, saved, slow_jpeg

import vestige
from vestige.errors import ImageError
from vestige.images import Limits, decode, safe
from vestige.images.containers import inspect

# Every picture is risky under this limit, and none comes near it.
CHILD = Limits(max_seconds=20.0)
SOURCE = str(Path(vestige.__file__).parents[1])


@pytest.fixture
def always_child(monkeypatch):
    monkeypatch.setattr(safe, "is_risky", lambda *_: True)


@pytest.mark.usefixtures("always_child")
def test_the_child_gives_the_same_picture():
    data = saved(photo(), "JPEG", exif=exif_tags(Orientation=6), comment=b"words", quality=83)
    child = decode(data, CHILD)
    here = decode(data, Limits(max_seconds=None))
    np.testing.assert_array_equal(child.pixels, here.pixels)
    assert child.pixels.flags.writeable
    assert (child.facts, child.metadata) == (here.facts, here.metadata)
    assert child.facts.jpeg.quality == 83


@pytest.mark.usefixtures("always_child")
def test_the_childs_refusal_arrives():
    bad = bytearray(saved(photo(), "PNG"))
    bad[60] ^= 255
    with pytest.raises(ImageError) as caught:
        decode(bytes(bad), CHILD)
    assert caught.value.code in {"corrupt", "truncated"}


def test_too_slow_is_stopped():
    data = slow_jpeg(3000, 1000)
    start = time.monotonic()
    with pytest.raises(ImageError, match=r"1\.5 seconds") as caught:
        decode(data, Limits(max_seconds=1.5))
    assert caught.value.code == "too_slow"
    assert time.monotonic() - start < 5


def test_ordinary_pictures_stay_in_the_process(monkeypatch):
    monkeypatch.setattr(safe, "decode_in_child", lambda *_: pytest.fail("a child was started"))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        decode(saved(photo(1200, 900), kind))
    decode(slow_jpeg(400, 400), Limits(max_seconds=None))


def test_what_counts_as_risky():
    limits = Limits()
    usual = inspect(saved(photo(), "JPEG", progressive=True), "JPEG")
    assert not safe.is_risky("JPEG", usual, 10_000, limits)
    assert usual.passes == 10
    from dataclasses import replace

    assert not safe.is_risky("JPEG", replace(usual, width=6000, height=4000), 10_000_000, limits)
    assert safe.is_risky("JPEG", replace(usual, width=6000, height=4000, passes=500), 10_000_000, limits)
    assert safe.is_risky("AVIF", replace(usual, width=9000, height=9000, passes=1), 10_000_000, limits)


@pytest.mark.usefixtures("always_child")
def test_without_processes_it_is_decoded_here(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no processes")

    monkeypatch.setattr(subprocess, "run", refuse)
    np.testing.assert_array_equal(decode(saved(photo(), "PNG"), CHILD).pixels, photo())


@pytest.mark.usefixtures("always_child")
def test_a_child_that_dies_is_internal(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false" if Path("/bin/false").exists() else "/usr/bin/false")
    with pytest.raises(ImageError) as caught:
        decode(saved(photo(), "PNG"), CHILD)
    assert caught.value.code == "internal"


@pytest.mark.usefixtures("always_child")
def test_from_a_thread():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(decode(saved(photo(), "PNG"), CHILD).pixels))
    thread.start()
    thread.join(20)
    np.testing.assert_array_equal(answers[0], photo())


def test_from_a_script_without_a_guard_and_among_hostile_names(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(photo(), "PNG"))
    (tmp_path / "numpy.py").write_text("raise SystemExit('wrong numpy')")
    script = tmp_path / "inner" / "script.py"
    script.parent.mkdir()
    script.write_text(
        f"import sys; sys.path.insert(0, {SOURCE!r})\n"
        "from vestige.images import decode, safe, Limits\n"
        "safe.is_risky = lambda *_: True\n"
        "print(decode('a.png', Limits(max_seconds=20)).pixels.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "(32, 48, 3)", done.stderr


def test_many_threads_at_once():
    data = saved(photo(), "JPEG")
    expected = decode(data).pixels
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(decode(data).pixels)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert all((answer == expected).all() for answer in answers)
