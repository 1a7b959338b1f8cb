"""Labelled sets on disk: what is drawn, what is kept, and that the masks say what was done."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from conftest import grey_picture
from vestige.data.draws import Donors, draw_rows
from vestige.data.labelled import Labelled, grey, write_labelled, write_set
from vestige.data.manifest import COLUMNS, Row, read_manifest, sha256_of, write_manifest
from vestige.data.manipulations.base import Inpaint, Manipulated, Manipulation, Pixels, Source, compose
from vestige.errors import ConfigError, DataError
from vestige.images import decode
from vestige.progress import Progress

QUIET = Progress(Console(file=io.StringIO()))


class Half(Manipulation):
    """The left half becomes one drawn level, by `amount`."""

    kind: Literal["half"] = "half"
    amount: float = 1.0
    source: Source = Source.COMPUTED

    def new(self, host: Pixels, rng: np.random.Generator, donor: Pixels | None) -> Pixels:
        return np.full_like(host, rng.integers(256))

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None,
        networks: Mapping[str, Inpaint],
    ) -> Manipulated:
        if min(host.shape[:2]) < 32:
            raise DataError("too small")
        amount = np.zeros(host.shape[:2], np.float32)
        amount[:, : host.shape[1] // 2] = self.amount
        return compose(host, self.new(host, rng, donor), amount, self.source, self.kind, {"drawn": "half"})


class Spliced(Half):
    """The left half becomes the donor's mean level."""

    needs_donor: ClassVar[bool] = True
    kind: Literal["spliced"] = "spliced"  # type: ignore[assignment]
    source: Source = Source.OTHER

    def new(self, host: Pixels, rng: np.random.Generator, donor: Pixels | None) -> Pixels:
        assert donor is not None
        return np.full_like(host, round(float(donor.mean())))


class Learned(Half):
    """The left half becomes what the only network says."""

    needs_networks: ClassVar[bool] = True
    kind: Literal["learned"] = "learned"  # type: ignore[assignment]
    source: Source = Source.NETWORK
    networks: tuple[str, ...] = ()


class Options:
    """What `ManipulationSet` is, for manipulations that it does not know."""

    def __init__(self, *kinds: Manipulation, per_group: int = 2) -> None:
        self.kinds = kinds
        self.per_group = per_group


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Three pictures of each of two sources and two generators."""
    (tmp_path / "data").mkdir()
    found = []
    for label, group in ((0, "camera"), (0, "phone"), (1, "ada"), (1, "bob")):
        for number in range(3):
            name = f"{group}{number}.png"
            level = 40 + 60 * label + 7 * number + 20 * (group in ("phone", "bob"))
            path = grey_picture(tmp_path / "data" / name, level, (48, 40))
            found.append(
                Row(path, name, label, group, "dev", f"licence of {group}", source=f"made by {group}")
            )
    return found


def made(rows: list[Row], folder: Path, *kinds: Manipulation, **more: Any) -> list[Labelled]:
    options = Options(*kinds, per_group=more.pop("per_group", 2))
    return write_labelled(rows, options, more.pop("networks", {}), folder, more.pop("seed", 0), QUIET, **more)  # type: ignore[arg-type]


def array(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("source", "of_real", "of_generated"),
    [
        (Source.PERTURBED, (0, 0, 0), (255, 255, 0)),
        (Source.MOVED, (0, 0, 255), (255, 255, 255)),
        (Source.COMPUTED, (0, 0, 255), (255, 255, 255)),
        (Source.NETWORK, (255, 0, 255), (255, 255, 255)),
    ],
)
def test_masks_and_labels(
    rows: list[Row],
    tmp_path: Path,
    source: Source,
    of_real: tuple[int, int, int],
    of_generated: tuple[int, int, int],
) -> None:
    """Generated share on the left, on the right, changed share on the left; by hand from the codes."""
    found = made(rows, tmp_path / "set", Half(source=source))
    assert len(found) == 8
    for one in found:
        left, right, changed = of_generated if rows[one.host].label else of_real
        generated = array(one.generated)
        assert generated.shape == (40, 48)
        assert (generated[:, :24] == left).all()
        assert (generated[:, 24:] == right).all()
        assert (array(one.changed)[:, :24] == changed).all()
        assert (array(one.changed)[:, 24:] == 0).all()
        assert (array(one.source) == np.repeat([[source, Source.KEPT]], 24, axis=1)).all()
        assert one.label == int(left > 0 or right > 0)
        host = decode(rows[one.host].path).pixels
        assert (array(one.picture)[:, 24:] == host[:, 24:]).all()
        record = one.record()
        assert record["host"] == rows[one.host].name
        assert record["how"] == {"drawn": "half"}
        assert record["changed"] == pytest.approx(changed / 255 / 2)
        assert record["sha256"] == sha256_of(one.picture)


def test_half_of_a_network_is_half_generated(rows: list[Row], tmp_path: Path) -> None:
    networks: dict[str, Inpaint] = {"n": lambda pixels, mask: pixels}
    for one in made(rows[:6], tmp_path / "set", Learned(amount=0.2), networks=networks):
        assert (array(one.generated)[:, :24] == 51).all()
        assert (array(one.generated)[:, 24:] == 0).all()
        assert one.label == 1


def test_content_of_a_donor_has_the_donors_label(rows: list[Row], tmp_path: Path) -> None:
    found = made(rows, tmp_path / "set", Spliced(), per_group=3)
    labels = set()
    for one in found:
        assert one.donor is not None
        host, donor = rows[one.host], rows[one.donor]
        assert (host.label, host.group) != (donor.label, donor.group)
        assert (array(one.generated)[:, :24] == 255 * donor.label).all()
        assert (array(one.generated)[:, 24:] == 255 * host.label).all()
        assert array(one.picture)[0, 0, 0] == round(float(decode(donor.path).pixels.mean()))
        assert one.record()["donor"] == donor.name
        labels.add((host.label, donor.label))
    assert labels == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_other_kinds_and_more_pictures_change_nothing(rows: list[Row], tmp_path: Path) -> None:
    made(rows, tmp_path / "few", Half(), per_group=1)
    made(rows, tmp_path / "many", Spliced(), Half(), per_group=2)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    assert len(few) == 4 * 5
    assert few.items() <= many.items()
    # Neither does a group that is added, where no donor is needed.
    made([row for row in rows if row.group != "phone"], tmp_path / "without", Half(), per_group=1)
    assert contents(tmp_path / "without").items() <= few.items()
    made(rows, tmp_path / "seed", Half(), per_group=1, seed=1)
    assert contents(tmp_path / "seed") != few


def test_what_is_there_is_kept_and_what_is_missing_is_made(rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "set"
    first = made(rows, folder, Half(), Spliced())
    before = contents(folder)
    first[0].picture.with_suffix(".json").unlink()  # as if killed before the last file
    first[1].changed.unlink()
    first[0].picture.write_bytes(b"half a picture")
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    assert made(rows, folder, Half(), Spliced()) == first
    assert contents(folder) == before
    kept = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns == stamp]
    assert len(kept) == len(first) - 2
    assert not list(folder.rglob("*.part"))


def test_a_folder_of_other_options_is_refused(rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "set"
    networks: dict[str, Inpaint] = {"n": lambda pixels, mask: pixels}
    made(rows, folder, Half(), Spliced(), Learned(), networks=networks)
    refused = f"{folder}: holds pictures that were made with other options, another seed or of other rows"
    for kinds, more in (
        ((Half(amount=0.5),), {}),
        ((Half(),), {"seed": 1}),
        ((Half(),), {"side": 32}),
        ((Learned(),), {"networks": {"other": networks["n"]}}),
    ):
        with pytest.raises(DataError) as caught:
            made(rows, folder, *kinds, **more)
        assert str(caught.value).startswith(refused)
    with pytest.raises(DataError, match="of other rows"):
        made(rows[3:], folder, Spliced(), per_group=1)
    path = next((folder / "half").glob("*.json"))
    path.write_text("{")
    with pytest.raises(DataError, match=f"{path.name}: cannot be read .* delete it"):
        made(rows, folder, Half())
    path.write_text('{"label": 2}')
    with pytest.raises(DataError, match="not a record of a manipulated picture"):
        made(rows, folder, Half())


def test_networks_are_part_of_what_decides(rows: list[Row], tmp_path: Path) -> None:
    class Network:
        description = "first"

        def __call__(self, pixels: Pixels, mask: Any) -> Pixels:
            return pixels

    network = Network()
    made(rows, tmp_path / "set", Learned(networks=("n",)), networks={"n": network})
    made(rows, tmp_path / "set", Learned(networks=("n",)), networks={"n": network, "unused": network})
    network.description = "second"
    with pytest.raises(DataError, match="other options"):
        made(rows, tmp_path / "set", Learned(networks=("n",)), networks={"n": network})


def test_missing_networks_are_told_before_anything_is_made(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learned needs learned networks, and none is given"):
        made(rows, tmp_path / "set", Half(), Learned())
    with pytest.raises(ConfigError, match="names the networks x, which are missing; there are: n"):
        made(rows, tmp_path / "set", Half(), Learned(networks=("x",)), networks={"n": lambda p, m: p})
    assert not (tmp_path / "set").exists()


def test_pictures_that_cannot_be_used_are_named(rows: list[Row], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"^broken\.png: The file"):
        made([Row(broken, "broken.png", 0, "camera")], tmp_path / "a", Half())
    small = grey_picture(tmp_path / "small.png", 90, (20, 20))
    with pytest.raises(DataError, match=r"^small\.png: too small; leave it out of the manifest$"):
        made([Row(small, "small.png", 0, "camera")], tmp_path / "b", Half())
    with pytest.raises(DataError, match=r"camera0\.png: there is no other picture of split 'dev'"):
        made(rows[:1], tmp_path / "c", Spliced())
    with pytest.raises(DataError, match="m: manipulated already"):
        made([*rows, Row(small, "m", 0, "camera", mask=small)], tmp_path / "d", Half())


def test_large_pictures_give_their_middle(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    rows = [Row(tmp_path / "large.png", "large.png", 0, "camera")]
    (one,) = made(rows, tmp_path / "a", Half(), side=64)
    # (130 - 64) // 2 = 33 and (90 - 64) // 2 = 13, down to multiples of 8.
    assert one.record()["crop"] == [32, 8, 64, 64]
    assert (array(one.picture)[:, 32:] == pixels[8:72, 64:96]).all()
    (whole,) = made(rows, tmp_path / "b", Half(), side=None)
    assert array(whole.picture).shape == pixels.shape
    assert whole.record()["crop"] == [0, 0, 130, 90]


def test_a_set_is_a_manifest(rows: list[Row], tmp_path: Path) -> None:
    folder = tmp_path / "set"
    rows[0] = Row(rows[0].path, "camera0.png", 0, "camera", "dev", "L", picture="scene 1")
    options = Options(Half(), Spliced(), per_group=3)
    found = write_set(rows, options, {}, folder, 0, QUIET)  # type: ignore[arg-type]
    listed = read_manifest(folder / "manifest.csv")
    assert [row.manipulation for row in listed] == ["half"] * 12 + ["spliced"] * 12
    for row, one in zip(listed, found, strict=True):
        host = rows[one.host]
        assert (row.path, row.label, row.mask, row.changed) == (
            one.picture,
            one.label,
            one.generated,
            one.changed,
        )
        assert (row.group, row.split, row.source) == (host.group, "dev", host.source)
        assert row.picture == (host.picture or host.name)
        assert row.sha256 == sha256_of(row.path)
        assert row.name == one.picture.relative_to(folder).as_posix()
        if one.donor is not None:
            assert row.licence == f"{host.licence}; {rows[one.donor].licence}"
    assert sum(row.label for row in listed[:12]) == 6


def test_originals_are_copied_bit_by_bit(rows: list[Row], tmp_path: Path) -> None:
    data = [row.path.read_bytes() for row in rows[:2]]
    pyarrow.parquet.write_table(pyarrow.table({"image": data}), tmp_path / "p.parquet")
    for number in range(2):
        rows[number] = Row(
            tmp_path / "p.parquet", f"p.parquet#image/{number}", 0, "inside", "dev", member=f"image/{number}"
        )
    options, folder = Options(Half(), Spliced(), per_group=9), tmp_path / "set"
    for _ in range(2):
        write_set(rows, options, {}, folder, 0, QUIET, originals=True)  # type: ignore[arg-type]
        listed = [row for row in read_manifest(folder / "manifest.csv") if not row.manipulation]
        assert [row.label for row in listed] == [row.label for row in rows]
        for copy, row in zip(listed, rows, strict=True):
            content = row.content()
            assert copy.path.read_bytes() == (content if isinstance(content, bytes) else content.read_bytes())
            assert copy.path.suffix == ".png"
            assert copy.sha256 == sha256_of(copy.path)
            assert (copy.mask, copy.changed, copy.picture) == (None, None, row.name)
            assert (copy.group, copy.licence) == (row.group, row.licence)


def test_new_columns_are_written_and_read(tmp_path: Path) -> None:
    row = {"path": "a.png", "label": 1, "mask": "m.png", "changed": "c.png", "manipulation": "splicing"}
    for name in ("m.csv", "m.parquet"):
        write_manifest(tmp_path / name, [row, {"path": "b.png", "label": 0}])
        full, bare = read_manifest(tmp_path / name)
        assert (full.changed, full.manipulation) == (tmp_path / "c.png", "splicing")
        assert (bare.changed, bare.manipulation) == (None, "")
    with (tmp_path / "m.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


def test_rows_are_drawn_for_each_group_of_each_class() -> None:
    rows = [Row(Path(str(n)), str(n), n % 2, "abc"[n % 3]) for n in range(60)]
    few, more = draw_rows(rows, 2, [0, 1]), draw_rows(rows, 4, [0, 1])
    assert len(few) == 12
    assert few == sorted(few)
    assert set(few) < set(more)
    assert all([(rows[n].label, rows[n].group) for n in few].count(key) == 2 for key in [(0, "a"), (1, "c")])
    assert draw_rows(rows, 2, [0, 2]) != few
    assert len(draw_rows(rows, 99, [0])) == 60


def test_donors_are_of_the_split_and_of_another_original() -> None:
    rows = [
        Row(Path("a"), "a", 0, "x", "train", picture="scene"),
        Row(Path("b"), "b", 1, "y", "train", picture="scene"),
        Row(Path("scene"), "scene", 1, "y", "train"),
        Row(Path("c"), "c", 0, "z", "dev"),
        Row(Path("d"), "d", 0, "x", "train"),
    ]
    drawn = {Donors(rows).draw(0, np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {4}  # of its own group, for there is no other
    rows += [Row(Path(str(n)), str(n), 0, "z", "train") for n in range(50)]
    rows += [Row(Path("one"), "one", 1, "w", "train")]
    donors = Donors(rows)
    labels = [rows[donors.draw(0, np.random.default_rng(seed))].label for seed in range(400)]
    assert 140 < sum(labels) < 260  # half and half, 1 against 50; 6 standard deviations
    assert all(rows[donors.draw(0, np.random.default_rng(seed))].group != "x" for seed in range(50))


CODES = st.tuples(
    st.integers(0, 1), st.sampled_from("xyz"), st.sampled_from(["", "train"]), st.sampled_from(["", "0", "s"])
)


@given(st.lists(CODES, min_size=1, max_size=12), st.integers(0, 9))
def test_donors_are_those_of_a_look_at_all_rows(codes: list[tuple[int, str, str, str]], seed: int) -> None:
    rows = [
        Row(Path(str(n)), str(n), label, group, split, picture=picture)
        for n, (label, group, split, picture) in enumerate(codes)
    ]
    donors = Donors(rows)
    for host, own in enumerate(rows):
        groups: dict[tuple[int, str], list[int]] = {}
        for index, row in enumerate(rows):
            apart = index != host and (row.picture or row.name) != (own.picture or own.name)
            if apart and row.split == own.split:
                groups.setdefault((row.label, row.group), []).append(index)
        others = {key: members for key, members in groups.items() if key != (own.label, own.group)} or groups
        rng = np.random.default_rng(seed)
        if not others:
            with pytest.raises(DataError, match="there is no other picture"):
                donors.draw(host, rng)
            continue
        expected = np.random.default_rng(seed)
        labels = sorted({label for label, _ in others})
        label = labels[expected.integers(len(labels))]
        names = sorted(group for of, group in others if of == label)
        members = others[label, names[expected.integers(len(names))]]
        assert donors.draw(host, rng) == members[expected.integers(len(members))]
        assert rng.random() == expected.random()


@given(st.floats(0, 1, width=32))
def test_levels_of_masks(share: float) -> None:
    (level,) = grey(np.array([share], np.float32))
    assert abs(level - 255 * share) <= 1
    if 1e-5 < share < 1 - 1e-5:
        assert 1 <= level <= 254


def test_ends_of_levels() -> None:
    ends = np.array([0, 0.001, 1 - 0.001, 1, np.float32(1) - np.float32(6e-8)], np.float32)
    assert grey(ends).tolist() == [0, 1, 254, 255, 255]
    # Parts of one are one again, whatever float32 makes of it.
    amounts = np.arange(256, dtype=np.float32) / np.float32(255)
    assert (grey((1 - amounts) * np.float32(1) + amounts * np.float32(1)) == 255).all()


def test_records_hold_plain_values(rows: list[Row], tmp_path: Path) -> None:
    one = made(rows, tmp_path / "set", Spliced(), per_group=1)[0]
    known = json.loads(one.picture.with_suffix(".json").read_text())
    assert known["kind"] == "spliced"
    assert known["host_label"] == rows[one.host].label
    assert one.donor is not None
    assert known["donor_label"] == rows[one.donor].label
