"""The imprint extractor of a finished NIRNet run as a package of its own, and how it is inspected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_model
from tiny_workshop import write_recipe, write_set

from vestige.apps.inspect import InspectOptions
from vestige.apps.inspect import run as inspect
from vestige.data.manifest import sha256_of
from vestige.errors import ConfigError, DataError
from vestige.inference.card import ExtractorCard
from vestige.inference.package import load_extractor_package
from vestige.inference.signature import ExtractorSession
from vestige.methods.nirnet.extractor import ExtractorOptions, ImprintExtractor, reach
from vestige.methods.nirnet.model import NirNet, NirNetConfig, build
from vestige.training.export_extractor import export_extractor
from vestige.training.extractor_sources import without_pattern
from vestige.training.recipe import read_recipe

NOISE = {
    "extractor": {"filters": 6, "kernel": 3, "width": 8, "blocks": 1},
    "side": 32,
    "width": 8,
    "difference": None,
}
MODEL = {"noise": NOISE, "frequency": None, "semantic": None, "branch_width": 8, "width": 8}
PACKAGE = {
    "name": "tiny-imprint",
    "version": "0.2.0",
    "summary": "For tests.",
    "licence": "CC0-1.0",
    "failure_modes": ["It knows nothing."],
}


def write_run(folder: Path, manifest: Path, model: dict[str, Any] = MODEL, **sections: Any) -> NirNet:
    """A run as training leaves it, its network at random; returns the network."""
    folder.mkdir()
    write_recipe(
        folder / "recipe.yaml", "nirnet", **{"model": model, "extractor_package": PACKAGE, **sections}
    )
    facts = {"manifest": manifest.name, "manifest_sha256": sha256_of(manifest)}
    (folder / "run.json").write_text(json.dumps(facts))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(NirNetConfig.model_validate(model), None)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    save_model(network, str(folder / "network.safetensors"))
    return network.eval()


class Shop:
    """A finished run and its package."""

    def __init__(self, folder: Path) -> None:
        self.manifest = write_set(folder / "set", groups=2, each=3)
        self.run, self.package = folder / "run", folder / "package"
        network = write_run(self.run, self.manifest)
        assert network.extractor is not None
        self.extractor: ImprintExtractor = network.extractor
        self.card: ExtractorCard = export_extractor(self.run, self.manifest, self.package)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def test_the_card_says_what_it_is(shop: Shop) -> None:
    card = load_extractor_package(shop.package).card
    assert card == shop.card
    assert (card.title, card.method, card.licence) == ("tiny-imprint 0.2.0", "nirnet", "CC0-1.0")
    assert (card.target, card.input, card.results) == ("imprint", "original", [])
    assert card.training.data == (
        "together with a detector, on views of 64 pixels of 12 pictures of the train split of manifest.csv"
    )
    assert card.training.recipe == (shop.run / "recipe.yaml").read_text()
    # Both classes: it was trained to tell them apart.
    assert [(source.label, source.count) for source in card.training.sources] == [
        (0, 3),
        (0, 3),
        (1, 3),
        (1, 3),
    ]


def test_the_graph_is_the_extractor_on_a_scale_of_its_own(shop: Shop) -> None:
    session = ExtractorSession(load_extractor_package(shop.package), threads=1)
    rng = np.random.default_rng(0)
    bare, factors = without_pattern(shop.extractor), []
    for shape in ((1, 33, 47, 3), (3, 64, 40, 3), (5, 8, 9, 3), (1, 1, 1, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.inference_mode():
            expected = bare(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        found = session.run(pixels)
        plain = expected.permute(0, 2, 3, 1).numpy()
        factor = float((found * plain).sum() / np.square(plain).sum())
        np.testing.assert_allclose(found, plain * factor, atol=1e-4)
        factors.append(factor)
    assert factors == pytest.approx([factors[0]] * 4, rel=1e-3)


def test_pictures_of_the_training_have_two_grey_levels(shop: Shop) -> None:
    session = ExtractorSession(load_extractor_package(shop.package), threads=1)
    squares = []
    for path in sorted(shop.manifest.parent.glob("*.png")):
        # The pictures have 96 pixels along a side, views 64.
        middle = np.asarray(Image.open(path))[16:80, 16:80]
        squares.append(np.square(session.run(middle[None])).mean())
    assert np.mean(squares) ** 0.5 * 127.5 == pytest.approx(2, rel=1e-3)


def test_reach_is_where_the_gradient_ends(shop: Shop) -> None:
    farthest = 0
    for place in (30, 31):  # pixels are folded in pairs
        images = torch.rand(1, 3, 60, 60, requires_grad=True)
        shop.extractor(images)[0, :, place, place].sum().backward()
        assert images.grad is not None
        for seen in (images.grad.abs().sum((0, 1, 3)), images.grad.abs().sum((0, 1, 2))):
            places = seen.nonzero().flatten()
            farthest = max(farthest, place - int(places.min()), int(places.max()) - place)
    assert shop.card.reach == farthest


def test_a_photo_can_be_inspected_by_it(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next(shop.manifest.parent.glob("camera-*.png"))
    out = tmp_path / "inspected"
    report = inspect(str(photo), InspectOptions(model=str(shop.package), out=out, threads=1))
    assert report.target == "imprint"
    assert report.grey_levels > 0
    said = "It was trained together with a detector and was not told what a trace is"
    assert said in capsys.readouterr().out
    assert said in (out / "index.html").read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_package(shop: Shop, tmp_path: Path) -> None:
    again = write_recipe(
        tmp_path / "again.yaml", "nirnet", model=MODEL, extractor_package={**PACKAGE, "version": "0.3.0"}
    )
    card = export_extractor(shop.run, shop.manifest, tmp_path / "package", again)
    assert card.version == "0.3.0"
    assert card.files == shop.card.files
    assert read_recipe(again) != read_recipe(shop.run / "recipe.yaml")


def test_what_does_not_belong_together_is_refused(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "package"
    other = write_recipe(tmp_path / "a.yaml", "nirnet", model=MODEL, seed=9, extractor_package=PACKAGE)
    with pytest.raises(ConfigError, match=r"a\.yaml: not the recipe that .* leave out --recipe"):
        export_extractor(shop.run, shop.manifest, out, other)
    with pytest.raises(DataError, match="not the manifest that"):
        export_extractor(shop.run, write_set(tmp_path / "set", groups=2, each=4), out)
    write_run(tmp_path / "plain", shop.manifest, extractor_package=None)
    with pytest.raises(ConfigError, match="section extractor_package is missing"):
        export_extractor(tmp_path / "plain", shop.manifest, out)
    (tmp_path / "plain" / "network.safetensors").unlink()
    with pytest.raises(DataError, match="the run is not finished"):
        export_extractor(tmp_path / "plain", shop.manifest, out, shop.run / "recipe.yaml")
    with pytest.raises(DataError, match="not a run of vestige train"):
        export_extractor(tmp_path / "nowhere", shop.manifest, out, shop.run / "recipe.yaml")
    assert not out.exists()


def test_a_network_without_an_extractor_is_refused(shop: Shop, tmp_path: Path) -> None:
    model = {**MODEL, "noise": None, "frequency": {}}
    write_run(tmp_path / "run", shop.manifest, model)
    with pytest.raises(ConfigError, match="trained without an imprint extractor"):
        export_extractor(tmp_path / "run", shop.manifest, tmp_path / "package")


def test_a_flat_picture_has_no_imprint() -> None:
    """The network may say something else of each place of its cells; that is no trace of a picture."""
    torch.manual_seed(0)
    extractor = ImprintExtractor(ExtractorOptions())
    for parameter in extractor.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    flat = torch.full((1, 3, 96, 96), 0.3)
    edge = reach(extractor.options)
    middle = (..., slice(edge, -edge), slice(edge, -edge))
    assert extractor(flat)[middle].abs().max() > 0.01
    bare = without_pattern(extractor)
    assert bare(flat)[middle].abs().max() < 1e-4
    pictures = torch.rand(1, 3, 96, 96)
    taken = (extractor(pictures) - bare(pictures)).detach()
    torch.testing.assert_close(taken[middle], extractor(flat)[middle].detach(), atol=1e-4, rtol=0)
