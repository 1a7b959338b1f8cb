"""The control that looks at the facts of a file alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vestige.images import decode
from vestige.images.file_facts import NAMES, vector
from vestige.methods.references.metadata_only import METHOD
from vestige.methods.references.probe import LinearProbe, NoOptions


@pytest.fixture
def network() -> LinearProbe:
    torch.manual_seed(0)
    built = METHOD.build(NoOptions(), None).eval()
    assert isinstance(built, LinearProbe)
    return built


def test_vector_in_logit_out(network: LinearProbe) -> None:
    facts = torch.rand(5, len(NAMES))
    with torch.inference_mode():
        (kept,) = network.frozen(facts)
        assert torch.equal(kept, facts)
        expected = facts @ network.linear.weight[0] + network.linear.bias
        torch.testing.assert_close(network(facts).logit, expected)


def test_facts_that_never_vary_do_no_harm(network: LinearProbe) -> None:
    facts = torch.rand(6, len(NAMES))
    facts[:, 3] = 1  # all of one format
    network.prepare([(facts[:4],), (facts[4:],)])
    with torch.inference_mode():
        assert torch.isfinite(network(facts).logit).all()
        assert not network.embed(facts)[:, 3].any()


def test_it_sees_the_file_and_not_the_picture(network: LinearProbe, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    for name, pixels in (("noise", noise), ("black", noise * 0)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        Image.fromarray(pixels).save(tmp_path / f"{name}.jpg", quality=80)

    def logit(name: str) -> float:
        with torch.inference_mode():
            return float(network(torch.from_numpy(vector(decode(tmp_path / name).facts))[None]).logit)

    assert logit("noise.png") == logit("black.png")
    assert logit("noise.jpg") == logit("black.jpg") != logit("black.png")
