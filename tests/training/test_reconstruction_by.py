"""Reconstructions by listed networks: which passes which picture, where it is kept, and what it counts as."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from tiny_workshop import recipe_values, rows_of, write_recipe, write_set

from vestige.data.manifest import read_manifest
from vestige.errors import ConfigError, DataError
from vestige.methods.reconstructors import Reconstructor
from vestige.nn.tiny_autoencoder import TinyAutoencoder
from vestige.progress import Progress
from vestige.training import reconstruct
from vestige.training.ablation import Ablation
from vestige.training.examples import label_views
from vestige.training.export import export
from vestige.training.recipe import Recipe, parse_recipe
from vestige.training.run import make_examples, new_network, train
from vestige.training.views import plan

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
NEAREST = """7767517
2 2
Input input 0 1 data
Interp enlarge 1 1 data output 0=1 1={scale}.0 2={scale}.0
"""
TINY: dict[str, Any] = {"kind": "tiny-autoencoder"}
TWICE: dict[str, Any] = {"kind": "super-resolution", "model": "twice", "scale": 2, "source": "nobody's, CC0"}
THRICE: dict[str, Any] = {"kind": "super-resolution", "model": "thrice", "scale": 3}


def data_of(*by: dict[str, Any], **changes: Any) -> dict[str, Any]:
    section = {"per_group": 99, "share": 0.4, "by": list(by), **changes}
    return {"patch": 64, "views": 1, "chain": AS_FOUND, "reconstruction": section}


def recipe(*by: dict[str, Any], **changes: Any) -> Recipe:
    return parse_recipe(recipe_values("srm-statistics", data=data_of(*by, **changes)), "test")


def write_networks(folder: Path, seed: int = 0) -> Path:
    """A tiny autoencoder, and networks that repeat each pixel; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    network = TinyAutoencoder()
    torch.save(network.encoder.state_dict(), folder / "taeany_encoder.pth")
    torch.save(network.decoder.state_dict(), folder / "taeany_decoder.pth")
    for name, scale in (("twice", 2), ("thrice", 3)):
        (folder / f"{name}.param").write_text(NEAREST.format(scale=scale))
        (folder / f"{name}.bin").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


def maker(path: Path) -> str:
    with Image.open(path) as image:
        return str(image.info["reconstructor"])


def repeated(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Reduced and each pixel repeated, without the package's networks."""
    height, width = (side // scale * scale for side in pixels.shape[:2])
    images = torch.from_numpy(pixels[:height, :width] / 255).float().permute(2, 0, 1)[None]
    size = (height // scale, width // scale)
    small = F.interpolate(images, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    made = small.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return made[0].permute(1, 2, 0).numpy() * 255


def test_each_picture_passes_the_network_that_its_file_names(tmp_path: Path, weights: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=2, each=6))
    for row in rows:
        with Image.open(row.path) as image:
            image.crop((0, 0, 47, 35)).save(row.path)
    section = recipe(TINY, TWICE, THRICE)
    files = reconstruct.reconstruct(section, rows, weights, tmp_path / "kept", Progress())
    assert sorted(files) == [index for index, row in enumerate(rows) if row.label == 0]
    autoencoder = TinyAutoencoder.load(weights / "taeany_encoder.pth", weights / "taeany_decoder.pth")
    makers = reconstruct.makers_of(files)
    assert set(makers.values()) == {"tiny-autoencoder", "twice", "thrice"}
    for index, path in files.items():
        assert makers[index] == maker(path)
        pixels, found = np.asarray(Image.open(rows[index].path)), np.asarray(Image.open(path), dtype=float)
        if makers[index] == "tiny-autoencoder":
            with torch.inference_mode():
                images = torch.from_numpy(pixels[:32, :40] / 255).float().permute(2, 0, 1)[None]
                expected = autoencoder(images)[0].permute(1, 2, 0).numpy() * 255
        else:
            expected = repeated(pixels, 2 if makers[index] == "twice" else 3)
        np.testing.assert_allclose(found, expected, atol=0.51)  # shapes, too: each network's own multiple


def test_of_large_pictures_the_middle(tmp_path: Path, weights: Path) -> None:
    (row, *_) = read_manifest(write_set(tmp_path / "set", groups=1, each=1))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 901, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(row.path)
    files = reconstruct.reconstruct(recipe(TWICE), [row], weights, tmp_path / "kept", Progress())
    found = np.asarray(Image.open(files[0]), dtype=float)
    np.testing.assert_allclose(found, repeated(pixels[:, 66 : 66 + 768], 2), atol=0.51)


def test_pictures_too_small_for_their_network_are_named(tmp_path: Path, weights: Path) -> None:
    (row, *_) = read_manifest(write_set(tmp_path / "set", groups=1, each=1))
    Image.new("RGB", (40, 7)).save(row.path)
    with pytest.raises(DataError, match=rf"{row.name}: 40x7 pixels are too few.*sides of 8 or more"):
        reconstruct.reconstruct(recipe(TINY), [row], weights, tmp_path / "kept", Progress())
    (path,) = reconstruct.reconstruct(recipe(THRICE), [row], weights, tmp_path / "a", Progress()).values()
    assert Image.open(path).size == (39, 6)


def named(*names: str) -> list[Reconstructor]:
    return [Reconstructor(name, "", 1, "") for name in names]


def test_networks_get_equally_many_and_a_further_one_redraws_no_others() -> None:
    pictures = [f"{number}.png" for number in range(3000)]

    def drawn(seed: int, *names: str) -> list[str]:
        return [reconstruct._drawn(named(*names), seed, picture).name for picture in pictures]

    three, four = drawn(3, "a", "b", "c"), drawn(3, "a", "b", "c", "d")
    # Binomial(3000, 1 / 3): 1000 with a deviation of 26.
    assert all(abs(three.count(name) - 1000) < 110 for name in "abc")
    assert all(after in (before, "d") for before, after in zip(three, four, strict=True))
    assert three == drawn(3, "c", "a", "b")
    same = sum(one == other for one, other in zip(three, drawn(4, "a", "b", "c"), strict=True))
    assert abs(same - 1000) < 110


def test_kept_files_are_those_of_the_same_network_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=2, each=6))
    weights, kept = write_networks(tmp_path / "weights"), tmp_path / "kept"
    made: list[str] = []
    original = reconstruct._pass

    def counted(network: Reconstructor, *given: Any) -> np.ndarray:
        made.append(network.name)
        return original(network, *given)

    monkeypatch.setattr(reconstruct, "_pass", counted)
    first = reconstruct.reconstruct(recipe(TINY, TWICE), rows, weights, kept, Progress())
    assert len(made) == 12
    assert reconstruct.reconstruct(recipe(TWICE, TINY), rows, weights, kept, Progress()) == first
    assert len(made) == 12
    by_one = reconstruct.reconstruct(recipe(TWICE), rows, weights, kept, Progress())
    assert {maker(path) for path in by_one.values()} == {"twice"}
    assert made[12:] == ["twice"] * made[:12].count("tiny-autoencoder")
    # Other weights of one network: what the other made is still found.
    before = {index: path.read_bytes() for index, path in first.items()}
    write_networks(weights, seed=1)
    del made[:]
    second = reconstruct.reconstruct(recipe(TINY, TWICE), rows, weights, kept, Progress())
    assert set(made) == {"tiny-autoencoder"}
    for index, path in second.items():
        assert (path == first[index]) == (maker(path) == "twice")
        assert first[index].read_bytes() == before[index]


def test_a_file_that_names_no_network_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    for name in ("plain.png", "missing.png"):
        with pytest.raises(DataError, match=rf"{name}: does not say which reconstructor made it"):
            reconstruct.makers_of({0: tmp_path / name})


def test_each_network_is_a_group_and_they_share_by_their_views() -> None:
    rows = rows_of({(0, "camera"): 4, (1, "gan"): 2})
    section = recipe(TINY, TWICE)
    views = plan(section.data, len(rows), [0, 1, 2])
    examples = label_views(section, rows, views, [], makers={0: "a", 1: "b", 2: "b"})
    groups = examples.groups[examples.reconstructed].tolist()
    assert groups == ["reconstruction by a", "reconstruction by b", "reconstruction by b"]
    assert set(examples.groups[~examples.reconstructed]) == {"camera", "gan"}

    def weight(group: str) -> float:
        return float(examples.weights[examples.groups == group].sum())

    assert weight("reconstruction by b") == pytest.approx(2 * weight("reconstruction by a"))
    assert weight("reconstruction by a") + weight("reconstruction by b") == pytest.approx(0.4 * 3 * 3 / 2)
    plain = label_views(section, rows, views, [])
    assert set(plain.groups[plain.reconstructed]) == {"reconstruction"}


def test_recipes_without_a_list_keep_their_files_and_their_group(tmp_path: Path, weights: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=2, each=2))
    section = recipe(autoencoder="some autoencoder (MIT)")
    network = new_network(section, None)
    examples = make_examples(section, rows, weights, network, tmp_path / "run", Progress())
    assert set(examples.groups[examples.reconstructed]) == {"reconstruction"}
    kept = sorted((tmp_path / "run" / "reconstructions").iterdir())
    # printf camera-0-0.png | sha256sum
    assert len(kept) == 4
    assert "74a8cc74e6bf791d91b7ad0c.png" in {path.name for path in kept}
    for path in kept:
        with Image.open(path) as image:
            assert image.info == {}
    assert reconstruct.reconstructors_facts(section, weights) is None


def test_a_run_keeps_to_its_networks_and_its_card_names_them(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", groups=2, each=4)
    weights, run = write_networks(tmp_path / "weights"), tmp_path / "run"

    def carry_out(*by: dict[str, Any], folder: Path = run) -> None:
        train(
            write_recipe(tmp_path / "r.yaml", "srm-statistics", data=data_of(*by)), manifest, weights, folder
        )

    carry_out(TINY, TWICE)
    facts = json.loads((run / "run.json").read_text())["reconstructors"]
    assert facts["names"] == ["tiny-autoencoder", "twice"]
    carry_out(TINY, TWICE)  # finished: left alone
    training = export(run, manifest, tmp_path / "package").training
    after = "one of the networks tiny-autoencoder, twice"
    assert f"; 8 of its real pictures also after {after}, counted as generated" in training.data
    assert training.starting_weights == [
        "for reconstructions: TAEANY, of the TAESD family (Boer Bohan), MIT",
        "for reconstructions: nobody's, CC0",
    ]
    with pytest.raises(ConfigError, match="begun with another recipe"):
        carry_out(TINY)
    write_networks(weights, seed=1)
    with pytest.raises(ConfigError, match="begun with other reconstructors"):
        carry_out(TINY, TWICE)
    carry_out(TWICE, folder=tmp_path / "one")
    training = export(tmp_path / "one", manifest, tmp_path / "package").training
    assert "also after the network twice, counted as generated" in training.data


def test_rows_of_an_ablation_share_what_the_same_network_made(tmp_path: Path) -> None:
    manifest, weights = write_set(tmp_path / "set", groups=2, each=2), write_networks(tmp_path / "weights")
    write_recipe(tmp_path / "r.yaml", "srm-statistics", data=data_of(TINY, TWICE))
    rows = {"both": {}, "one": {"set": {"data": {"reconstruction": {"by": [TWICE]}}}}}
    spec = {"recipe": "r.yaml", "seeds": [0], "baseline": "both", "views": 1, "rows": rows}
    spec["questions"] = {"By which?": ["one"]}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))

    def fit(row: str) -> None:
        ablation = Ablation(
            tmp_path / "spec.yaml", manifest, None, weights, tmp_path / "out", None, Progress()
        )
        ablation.fit(row, 0, ablation.prepare(row))

    fit("both")
    fit("one")
    folders = [path.name.rsplit("-", 1)[0] for path in (tmp_path / "out").rglob("reconstructions/*")]
    assert sorted(folders) == ["tiny-autoencoder", "twice"]
    write_networks(weights, seed=1)
    fit("one")
    with pytest.raises(ConfigError, match="other pictures, stages or starting weights"):
        fit("both")


def test_what_cannot_be_had_or_meant_is_refused(tmp_path: Path, weights: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=1, each=1))
    for folder, by, wrong in (
        (None, [TINY], "needs a folder of starting weights"),
        (tmp_path, [TWICE], r"no twice\.param there"),
        (weights, [TWICE, TWICE], "several reconstructors are called twice"),
    ):
        with pytest.raises(ConfigError, match=rf"data\.reconstruction\.by: .*{wrong}"):
            reconstruct.reconstruct(recipe(*by), rows, folder, tmp_path / "kept", Progress())
    with pytest.raises(ConfigError, match=r"autoencoder is the card's text .* leave it out beside by"):
        recipe(TINY, autoencoder="another (MIT)")
    with pytest.raises(ConfigError, match=r"data\.reconstruction\.by changes pixels, and metadata-only"):
        parse_recipe(recipe_values("metadata-only", data=data_of(TINY)), "test")
