"""The notes of starting weights on a card are those of the configuration, not of all that is possible."""

from typing import Any

import pytest

from vestige.methods.gensign import B0_NOTE, CLIP_NOTE, DENOISER_NOTE, EXTRACTOR_NOTE, LITE0_NOTE, METHOD
from vestige.methods.gensign.model import GenSignConfig


@pytest.mark.parametrize(
    ("config", "notes"),
    [
        ({}, (CLIP_NOTE, LITE0_NOTE, EXTRACTOR_NOTE)),
        ({"signature": None}, (CLIP_NOTE,)),
        ({"rgb": None}, (LITE0_NOTE, EXTRACTOR_NOTE)),
        ({"rgb": None, "signature": {"backbone": "b0"}}, (B0_NOTE, EXTRACTOR_NOTE)),
        ({"rgb": None, "signature": {"source": "denoiser", "start": "random"}}, (DENOISER_NOTE,)),
        ({"rgb": None, "signature": {"source": "srm"}}, (LITE0_NOTE,)),
        ({"rgb": None, "signature": {"source": "srm", "backbone": "b0", "start": "random"}}, ()),
    ],
)
def test_notes_of_a_configuration(config: dict[str, Any], notes: tuple[str, ...]) -> None:
    assert METHOD.weights_of is not None
    assert METHOD.weights_of(GenSignConfig.model_validate(config)) == notes
    assert set(notes) <= set(METHOD.starting_weights)
