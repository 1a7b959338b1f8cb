import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vestige.errors import ModelPackageError
from vestige.inference.package import find_card, load_package, shipped_models
from vestige.inference.session import Session

Make = Callable[..., Path]


def change_card(folder: Path, **changes: object) -> Path:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))
    return folder


def refusal(folder: Path | str) -> str:
    with pytest.raises(ModelPackageError) as caught:
        load_package(folder)
    return str(caught.value)


def test_a_sound_package_is_loaded(package: Path) -> None:
    loaded = load_package(package)
    assert loaded.card.title == "brightness 1.0"
    assert loaded.graphs[0] == (package / "model.onnx").read_bytes()


def test_an_altered_graph_is_refused(package: Path) -> None:
    with (package / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "model.onnx: altered or damaged" in refusal(package)


def test_a_missing_graph_is_refused(package: Path) -> None:
    (package / "model.onnx").unlink()
    assert "model.onnx: cannot be read" in refusal(package)


def test_all_faults_of_a_card_are_named(package: Path) -> None:
    change_card(package, name="Not A Name", colour="blue", abstention={"low": 0.9, "high": 0.1})
    sentence = refusal(package)
    for part in ("name", "colour", "must not lie above"):
        assert part in sentence


def test_a_card_that_is_no_json_is_refused(package: Path) -> None:
    (package / "card.json").write_text("{")
    assert "not a valid model card" in refusal(package)


def test_a_package_for_a_newer_vestige_is_refused(package: Path) -> None:
    assert "needs vestige 99.0" in refusal(change_card(package, minimum_vestige="99.0"))


@pytest.mark.parametrize("name", ["../outside.onnx", "..", "deeper/model.onnx"])
def test_a_card_cannot_name_files_outside_its_folder(package: Path, name: str) -> None:
    digest = json.loads((package / "card.json").read_text())["files"]["model.onnx"]
    (package.parent / "outside.onnx").write_bytes((package / "model.onnx").read_bytes())
    assert "own folder" in refusal(change_card(package, stages=[name], files={name: digest}))


def test_an_unknown_name_lists_the_shipped_models() -> None:
    sentence = refusal("no-such-model")
    assert all(name in sentence for name in shipped_models())


def test_a_graph_that_is_none_is_refused(make_package: Make) -> None:
    with pytest.raises(ModelPackageError, match="cannot load the graph"):
        Session(load_package(make_package(graph=b"not onnx")))


def test_an_output_that_the_graph_lacks_is_refused(make_package: Make) -> None:
    with pytest.raises(ModelPackageError, match="no output 'map'"):
        Session(load_package(make_package(outputs={"logit": "logit", "map": "map"})))


def test_the_session_scales_pixels_to_one(package: Path) -> None:
    patches = np.stack([np.full((64, 64, 3), level, np.uint8) for level in (0, 51, 255)])
    logits = Session(load_package(package)).run(patches).logit
    np.testing.assert_allclose(logits, [-4, 8 * (0.2 - 0.5), 4], atol=1e-5)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_packages_are_sound_and_small(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VESTIGE_TOWERS", raising=False)
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path))
    folder, card = find_card(name)
    if card.tower is None:
        assert load_package(name).card == card
    else:
        # The package's own files are checked before its tower, which no test has, is looked for.
        with pytest.raises(ModelPackageError, match=r"its tower .* is not on this computer"):
            load_package(name)
    assert card.name == name
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size <= 15 * 2**20
    assert card.results, "a shipped model says how good it is"
    assert card.failure_modes
