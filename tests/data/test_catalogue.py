"""The catalogue: every description is whole, and a wrong one is refused with all that is wrong."""

import pytest

from vestige.data.catalogue import Folders, benchmarks, get, parse
from vestige.errors import ConfigError

NAMES = [
    "aigcdetect-benchmark", "aigibench", "chameleon", "community-forensics", "forensynths", "genimage",
    "opensdi", "synthbuster", "universal-fake-detect", "folder-pair", "table",
]  # fmt: skip

GOOD = """
name: mine
title: Mine
layout: {kind: folders}
words: {0_real: 0, 1_fake: 1}
groups: [a, b]
licence: none stated
access: {conditions: ask}
"""


def test_all_benchmarks_are_there_sets_first() -> None:
    assert [one.name for one in benchmarks()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_are_whole(name: str) -> None:
    one = get(name)
    assert one.title
    assert one.licence
    assert one.access.conditions
    assert one.groups or one.groups_note
    if not one.general:
        assert one.paper is not None
        assert one.access.url.startswith("http")
        assert one.notes


def test_numbers_of_groups_as_published() -> None:
    assert len(get("forensynths").groups) == 13
    assert len(get("aigcdetect-benchmark").groups) == 16
    assert len(get("synthbuster").groups) == 9
    assert len(set(get("aigibench").groups) - {"sdv1.4"}) == 25
    assert len(get("genimage").counts) == 8


def test_official_pairing_of_universal_fake_detect() -> None:
    # dataset_paths.py of the authors: ImageNet for the guided model, LAION for all others.
    pairing = dict(get("universal-fake-detect").pairing)
    assert pairing.pop("guided") == ["imagenet"]
    assert len(pairing) == 7
    assert set(map(tuple, pairing.values())) == {("laion",)}


def test_genimage_words_are_not_alphabetical() -> None:
    assert get("genimage").words == {"nature": 0, "ai": 1}


def test_defaults() -> None:
    one = parse(GOOD, "mine.yaml")
    assert isinstance(one.layout, Folders)
    assert not one.layout.bare
    assert one.paper is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("title: Mine", "colour: red"), r"title: Field required; colour: Extra inputs are not permitted"),
        (("1_fake: 1", "1_fake: 2"), r"words\.1_fake"),
        (("1_fake: 1", "1_fake: 0"), r"words must name both classes"),
        (("1_fake: 1", "1_FAKE: 1"), r"words must be lower case"),
        (("kind: folders", "kind: boxes"), r"layout: .*'boxes'"),
        (("groups: [a, b]", "groups: [a, b]\npairing: {c: [a]}"), r"pairing names groups .*\['c'\]"),
        (("groups: [a, b]", "groups: [a, b]\ncounts: {d: 5}"), r"counts names groups .*\['d'\]"),
        (("name: mine", "name: [unclosed"), r"cannot be read as YAML"),
    ],
)
def test_wrong_descriptions(change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        parse(GOOD.replace(*change), "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
