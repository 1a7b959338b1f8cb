"""Reports to test with, fixed ones and arbitrary ones."""

import numpy as np
from hypothesis import strategies as st

from vestige.images.picture import Picture
from vestige.results import (
    Claim,
    Evidence,
    Facts,
    HeatMap,
    ImageReport,
    JpegFacts,
    ScanError,
    Verdict,
    ViewScore,
)

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202egpj.exe[red]x[/red]\n=1+1"


def make_report(path="a.jpg", probability=0.93, model="patch 1", **changes):
    verdict = (
        Verdict.LIKELY_GENERATED
        if probability >= 0.8
        else Verdict.LIKELY_REAL
        if probability <= 0.2
        else Verdict.INCONCLUSIVE
    )
    fields = {
        "path": path,
        "verdict": verdict,
        "evidence": Evidence(
            logit=2.5,
            probability=probability,
            spread=0.4,
            thresholds=(0.2, 0.8),
            views=[ViewScore(x=0, y=0, width=32, height=32, logit=2.5)] * 2,
            heat_map=HeatMap(probabilities=[[0.9, 0.1, 0.5], [0.8, 0.95, 0.3]], origin="patches"),
            reasons=["The picture is small."],
        ),
        "claims": [
            Claim(
                origin="EXIF", kind="camera", statement="Made with a Box.", value="Box 1", points_to="camera"
            )
        ],
        "facts": Facts(
            format="JPEG",
            width=60,
            height=40,
            mode="RGB",
            bytes=1234,
            sha256="0f" * 32,
            jpeg=JpegFacts(quality=85, subsampling="4:2:0", progressive=False, quantisation=[[1] * 64]),
        ),
        "model": model,
        "versions": {"onnxruntime": "1.20"},
    }
    return ImageReport(**(fields | changes))


def make_partly(path="part.jpg", **changes):
    """A picture of which the lower right ninth looks generated, by the model's own map."""
    cells = [[0.95 if row > 5 and column > 5 else 0.04 for column in range(9)] for row in range(9)]
    evidence = make_report().evidence.model_copy(
        update={
            "probability": 0.31,
            "heat_map": HeatMap(probabilities=cells, origin="model"),
            "reasons": ["By the model's own map, about 11% of the area resembles them."],
            "generated_share": 1 / 9,
        }
    )
    return make_report(path, **{"verdict": Verdict.PARTLY_GENERATED, "evidence": evidence, **changes})


def make_error(path="broken.jpg", model="patch 1"):
    return ImageReport(
        path=path,
        model=model,
        error=ScanError(code="truncated", reason="the data end before the picture does"),
    )


def hostile_report():
    """A report in which every text from the file tries to break out of where it is shown."""
    claim = Claim(origin=HOSTILE, kind="prompt", statement=HOSTILE, value=HOSTILE * 20, points_to="generated")
    base = make_report()
    return make_report(
        path="dir/" + HOSTILE,
        claims=[claim, claim.model_copy(update={"value": "javascript:alert(1)"})],
        facts=base.facts.model_copy(
            update={"format": HOSTILE, "mode": HOSTILE, "sha256": HOSTILE, "conversions": [HOSTILE]}
        ),
        evidence=base.evidence.model_copy(update={"reasons": [HOSTILE]}),
        model=HOSTILE,
        versions={HOSTILE: HOSTILE},
    )


def make_picture(height=40, width=60):
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(pixels, Facts(format="PNG", width=width, height=height, mode="RGB"))


# Texts as found in the wild and worse: control characters, quotes, undecodable names, formula starts.
texts = st.text(
    st.one_of(st.sampled_from("=+-@\t\r\n\"',;\\[]<>\x00\x1b\u202e\u2028\udcff'"), st.characters()),
    max_size=20,
)
numbers = st.floats(allow_nan=True, allow_infinity=True)
reports = st.builds(
    lambda path, statement, logit, probability: make_report(
        path=path,
        claims=[Claim(origin="XMP", kind="author", statement=statement)],
        evidence=Evidence(logit=logit, probability=probability, spread=0, thresholds=(0.2, 0.8), views=[]),
    ),
    texts,
    texts,
    numbers,
    st.floats(0, 1),
)
