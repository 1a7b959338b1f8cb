"""Each published layout on a small copy of it: label, group, split, class and pairing of every picture."""

from pathlib import Path

import layout_trees as trees
import pytest

from vestige.data.layouts import read
from vestige.errors import ConfigError, DataError


def own_pair(gen: str, place: str, split: str = "test", category: str = "", count: int = 2) -> set[tuple]:
    """Entries of one merged pair, written out independently of the reader."""
    return {
        (f"{place}/{word}/{n:03}.png", label, gen if label else f"{gen}/real", split, category,
         f"{gen}/real" if label else "")
        for word, label in (("0_real", 0), ("1_fake", 1))
        for n in range(count)
    }  # fmt: skip


def test_forensynths_merged_and_per_class(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.forensynths())
    found = read(root)
    expected: set[tuple] = set()
    for gen in trees.FORENSYNTHS_MERGED:
        expected |= own_pair(gen, f"test/{gen}")
    for gen, classes in trees.FORENSYNTHS_PER_CLASS.items():
        for one in classes:
            expected |= own_pair(gen, f"test/{gen}/{one}", category=one)
    for one in ("airplane", "train"):
        expected |= own_pair("progan", f"train/progan/{one}", split="train", category=one)
    assert found.benchmark.name == "forensynths"
    assert {trees.short(entry, root) for entry in found.entries} == expected
    assert len(found.entries) == len(expected)
    assert {entry.source for entry in found.entries} == {"ForenSynths (CNNDetection)"}


def test_one_generator_may_be_merged_and_per_class(tmp_path: Path) -> None:
    names = [*trees.pair("stylegan/"), *trees.pair("stylegan/car/"), *trees.pair("san/")]
    found = read(trees.write_tree(tmp_path / "test", names))
    assert found.benchmark.name == "forensynths"
    assert sorted({(entry.group, entry.category, entry.label) for entry in found.entries}) == [
        ("san", "", 1), ("san/real", "", 0), ("stylegan", "", 1), ("stylegan", "car", 1),
        ("stylegan/real", "", 0), ("stylegan/real", "car", 0),
    ]  # fmt: skip


def test_universal_fake_detect_pairs_across_folders(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "ufd", trees.universal_fake_detect())
    found = read(root)
    assert found.benchmark.name == "universal-fake-detect"
    against = {entry.group: entry.compare_with for entry in found.entries if entry.label}
    assert against == {
        "progan": "progan/real",
        "biggan": "biggan/real",
        "guided": "imagenet/real",
        **{gen: "laion/real" for gen in trees.DIFFUSION if gen != "guided"},
    }
    reals = {entry.group for entry in found.entries if not entry.label}
    assert reals == {"progan/real", "biggan/real", "imagenet/real", "laion/real"}
    assert {entry.split for entry in found.entries if entry.group.startswith("progan")} == {"test"}


def test_universal_fake_detect_diffusion_part_alone(tmp_path: Path) -> None:
    names = [n.removeprefix("diffusion_datasets/") for n in trees.universal_fake_detect() if "diff" in n]
    found = read(trees.write_tree(tmp_path / "diffusion_datasets", names))
    assert found.benchmark.name == "universal-fake-detect"
    assert len(found.entries) == 6 + 16


@pytest.mark.parametrize("lost", ["imagenet", "laion"])
def test_universal_fake_detect_without_the_official_reals(tmp_path: Path, lost: str) -> None:
    names = [name for name in trees.universal_fake_detect() if f"/{lost}/" not in name]
    with pytest.raises(DataError, match=f"its real pictures, {lost}, are not here"):
        read(trees.write_tree(tmp_path / "ufd", names))


def test_universal_fake_detect_with_reals_in_the_wrong_place(tmp_path: Path) -> None:
    names = [*trees.universal_fake_detect(), "diffusion_datasets/guided/0_real/x.png"]
    with pytest.raises(DataError, match=r"guided: 0_real and 1_fake; expected generated pictures only"):
        read(trees.write_tree(tmp_path / "ufd", names))


def test_reals_that_nobody_is_compared_with_are_a_finding(tmp_path: Path) -> None:
    names = [name for name in trees.universal_fake_detect() if "/guided/" not in name]
    found = read(trees.write_tree(tmp_path / "ufd", names))
    assert "imagenet: real pictures that no group here is compared with" in found.findings


def test_aigcdetect_benchmark(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.aigcdetect())
    found = read(root)
    assert found.benchmark.name == "aigcdetect-benchmark"
    expected = own_pair("progan", "test/progan/airplane", category="airplane")
    expected |= own_pair("progan", "test/progan/cat", category="cat")
    for gen in ("biggan", "ADM", "wukong", "DALLE2"):
        expected |= own_pair(gen, f"test/{gen}")
    assert {trees.short(entry, root) for entry in found.entries} == expected


def test_shared_generators_ask_which_benchmark(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.pair("test/progan/cat/"))
    with pytest.raises(DataError, match=r"could be aigcdetect-benchmark, forensynths; say which with --as"):
        read(root)
    assert read(root, "aigcdetect-benchmark").benchmark.name == "aigcdetect-benchmark"


def test_aigibench_training_classes_belong_to_progan(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.aigibench())
    found = read(root)
    expected: set[tuple] = set()
    for gen in ("ProGAN", "R3GAN", "FLUX1-dev", "SocialRF"):
        expected |= own_pair(gen, f"test/{gen}")
    for one in ("car", "cat", "chair", "horse"):
        expected |= own_pair("ProGAN", f"train/{one}", split="train", category=one)
    expected |= own_pair("sdv1.4", "train/sdv1.4", split="train")
    assert found.benchmark.name == "aigibench"
    assert {trees.short(entry, root) for entry in found.entries} == expected


@pytest.mark.parametrize(("outer", "inner"), [(True, True), (True, False), (False, True)])
def test_genimage_with_and_without_the_archives_folder(tmp_path: Path, outer: bool, inner: bool) -> None:
    root = trees.write_tree(tmp_path / "set", trees.genimage(outer, inner))
    found = read(root)
    assert found.benchmark.name == "genimage"
    # The alphabet says ai = 0; the words say ai = 1.
    assert all(entry.label == ("/ai/" in entry.file) for entry in found.entries)
    seen = {(entry.group, entry.label, entry.split, entry.compare_with) for entry in found.entries}
    assert seen == {
        (gen if label else f"{gen}/real", label, split, f"{gen}/real" if label else "")
        for gen in trees.GENIMAGE
        for label in (0, 1)
        for split in ("train", "val")
    }


def test_genimage_generator_unpacked_twice(tmp_path: Path) -> None:
    names = trees.pair("Midjourney/val/", real="nature", generated="ai")
    names += trees.pair("imagenet_midjourney/val/", real="nature", generated="ai")
    with pytest.raises(DataError, match="are both group Midjourney; keep one of them"):
        read(trees.write_tree(tmp_path / "set", names))


@pytest.mark.parametrize("place", ["", "test/"])
def test_chameleon_is_known_by_its_name_only(tmp_path: Path, place: str) -> None:
    found = read(trees.write_tree(tmp_path / "Chameleon", trees.pair(place)))
    assert found.benchmark.name == "chameleon"
    assert {(entry.group, entry.compare_with) for entry in found.entries} == {
        ("Chameleon/real", ""), ("Chameleon", "Chameleon/real"),
    }  # fmt: skip
    other = trees.write_tree(tmp_path / "mine", trees.pair(place))
    assert read(other).benchmark.name == "folder-pair"
    assert read(other, "chameleon", name="Chameleon").entries[0].group == "Chameleon/real"


def test_synthbuster_takes_its_reals_from_elsewhere(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "synthbuster", trees.synthbuster())
    (root / "prompts.csv").write_text("image name,Prompt\n")
    raise_1k = trees.write_tree(tmp_path / "RAISE-1k", ["r0000t.png", "r0001t.png", "r0002t.png"])
    found = read(root, real=raise_1k)
    assert found.benchmark.name == "synthbuster"
    assert found.stray == ["prompts.csv"]
    generated = [entry for entry in found.entries if entry.label]
    assert {entry.group for entry in generated} == set(trees.SYNTHBUSTER)
    assert {entry.compare_with for entry in generated} == {"RAISE-1k/real"}
    reals = [entry for entry in found.entries if not entry.label]
    assert [(entry.group, entry.picture) for entry in reals] == [
        ("RAISE-1k/real", f"r000{n}t") for n in range(3)
    ]
    assert {entry.picture for entry in generated} == {"r0000t", "r0001t"}
    alone = read(root)
    assert {entry.label for entry in alone.entries} == {1}
    assert any("--real" in finding for finding in alone.findings)


def test_synthbuster_traps(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "synthbuster", [*trees.synthbuster(), "unheard-of/x.png"])
    with pytest.raises(DataError, match=r"unheard-of: not among the published folders"):
        read(root)
    found = read(root, "synthbuster")
    assert "not among the published groups: unheard-of" in found.findings
    with pytest.raises(DataError, match="there is no such folder of real pictures"):
        read(root, real=tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="--real takes the folder with the real ones"):
        read(root, "synthbuster", real=tmp_path / "empty")
    with pytest.raises(ConfigError, match="genimage brings its own"):
        read(root, "genimage", real=root)


def test_unknown_benchmark_lists_all(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no benchmark is called 'x'; there are aigcdetect-benchmark, .*table"
    ):
        read(tmp_path, "x")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder or file"):
        read(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no layout that Vestige knows.*0 pictures and no folders"):
        read(tmp_path)


def test_incomplete_copies_are_findings(tmp_path: Path) -> None:
    found = read(trees.write_tree(tmp_path / "test", trees.pair("san/")))
    assert found.findings[0].startswith("of 13 published groups, 12 are not here: progan, stylegan,")
    assert "fewer pictures than published: san 4 of 440" in found.findings
