"""The sentences of the web page are those of the reports, word for word, and its files hold nothing risky."""

import itertools
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_samples import OpenPage, Site, site

from vestige.reports import html_card, html_evidence
from vestige.reports.records import record_of
from vestige.reports.signature import GAIN
from vestige.reports.text import shorten, visible
from vestige.reports.wording import (
    HOW_TO_READ,
    KINDS,
    TITLES,
    credentials_words,
    deviation_words,
    does_not_mean,
    kind_of,
    parts_words,
    percents,
    sentence,
    signer_words,
    size_words,
    spread_words,
    trust_words,
    where_words,
)
from vestige.results import (
    Credentials,
    Evidence,
    EvidenceLine,
    HeatMap,
    ImageReport,
    ScanError,
    Verdict,
    ViewScore,
)

pytest_plugins = ["page_fixtures"]
STATIC = Path(str(resources.files("vestige.apps.server"))) / "static"
TEXTS = [
    "plain",
    "a\x1b[31m\nb\t\u202egpj.exe",
    "é 漢 😀 \u200d\u200c",
    "\u2028\ue000\U000f0000",
    "x" * 30,
    "\U000e0041",
]
SIZES = [0, 1, 999, 1000, 9949, 9950, 12_500, 230_400, 999_999, 67_108_864, 5_500_000_000]


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as running:
        yield running


def report(
    verdict: Verdict | None, probability: float, thresholds: tuple[float, float], **more: Any
) -> ImageReport:
    views = [ViewScore(x=0, y=0, width=9, height=9, logit=0.0)] * more.pop("views", 2)
    spread = more.pop("spread", 0.3)
    evidence = Evidence(
        logit=0.0, probability=probability, spread=spread, thresholds=thresholds, views=views, **more
    )
    return ImageReport(path="a.jpg", model="m 1", verdict=verdict, evidence=evidence if verdict else None)


def all_reports() -> list[ImageReport]:
    rng = np.random.default_rng(5)
    verdicts = list(Verdict)
    edges = [0.0, 1e-12, 0.004, 0.005, 0.125, 0.3404, 0.34045, 0.5, 0.625, 0.6690, 0.995, 0.99999, 1.0]
    bands = [(0.3404493565730262, 0.6690227713516509), (0.005, 0.995), (0.125, 0.625), (0.0, 1.0)]
    found = [report(*each) for each in itertools.product(verdicts, edges, bands)]
    found += [report(verdicts[0], float(p), (0.3, 0.7)) for p in rng.random(40)]
    found += [report(verdicts[2], 0.4, (0.3, 0.7), looked_at="file", views=n) for n in (0, 1, 5)]
    found += [
        report(verdicts[2], 0.4, (0.3, 0.7), spread=s) for s in (0.25, 0.75, 0.76, 1.5, 2.35, 3.0, 3.01)
    ]
    error = ScanError(code="empty", reason="The file is empty.")
    return [*found, ImageReport(path="a", model="m 1", error=error)]


def heat_maps() -> Iterator[HeatMap]:
    rng = np.random.default_rng(6)
    for shape in ((1, 1), (1, 4), (3, 3), (5, 7), (24, 16)):
        yield HeatMap(probabilities=rng.random(shape).round(4).tolist(), origin="patches")
    yield HeatMap(probabilities=[[0.51, 0.5]], origin="model")
    yield HeatMap(probabilities=[[]], origin="model")


def test_page_says_what_the_reports_say(served: Site, open_page: OpenPage) -> None:
    reports, maps = all_reports(), list(heat_maps())
    states = ("trusted", "valid", "invalid", "unreadable")
    credentials = [
        Credentials(state=state, remote=remote, trust_list=trust, signer=signer, issuer=issuer)
        for state in states
        for remote, trust, signer, issuer in (
            (None, "none", "a", "b"),
            ("u", "x.pem", "", "b"),
            (None, "x", "a", "a"),
        )
    ]
    trusts = ("measured", "unsigned", "signed", "signed_and_trusted")
    given = {
        "records": [record_of(it) for it in reports],
        "maps": [it.model_dump() for it in maps],
        "credentials": [it.model_dump() for it in credentials],
        "trusts": trusts,
        "texts": TEXTS,
        "sizes": SIZES,
        "shares": [0.0, 0.001, 0.125, 0.5, 0.999, 1.0],
        "deviations": [0.0123, 1.0, 12.34, 123.4],
    }
    page = open_page(served)
    found = page.evaluate(
        """async (given) => {
            const at = (name) => new URL(`static/${name}`, document.baseURI).href;
            const [words, text] = [await import(at("words.js")), await import(at("text.js"))];
            const judged = given.records.filter((record) => record.thresholds !== null);
            return {
                kinds: given.records.map(words.kindOf),
                sentences: given.records.map(words.sentence),
                percents: judged.map(words.percents),
                spreads: judged.map(words.spreadWords),
                where: given.maps.map(words.whereWords),
                credentials: given.credentials.map(words.credentialsWords),
                signers: given.credentials.map(words.signerWords),
                trusts: given.trusts.map(words.trustWords),
                visible: given.texts.map((it) => text.visible(it)),
                lines: given.texts.map((it) => text.visible(it, "\\n\\t")),
                short: text.shorten(given.texts[4], 10),
                sizes: given.sizes.map(words.sizeWords),
                shares: given.shares.map(words.partsWords),
                deviations: given.deviations.map(words.deviationWords),
                titles: words.KINDS.map((kind) => words.TITLES[kind]),
                not_meant: words.KINDS.map((kind) => words.NOT_MEANT[kind]),
                origins: words.MAP_ORIGINS,
            };
        }""",
        given,
    )
    judged = [it.evidence for it in reports if it.evidence]
    line = EvidenceLine(origin="pixels", says="", trust="measured")
    assert found == {
        "kinds": [kind_of(it) for it in reports],
        "sentences": [sentence(it) for it in reports],
        "percents": [list(percents(it)) for it in judged],
        "spreads": [spread_words(it) for it in judged],
        "where": [where_words(it) for it in maps],
        "credentials": [credentials_words(it) for it in credentials],
        "signers": [signer_words(it) for it in credentials],
        "trusts": [trust_words(line.model_copy(update={"trust": it})) for it in trusts],
        "visible": [visible(it) for it in TEXTS],
        "lines": [visible(it, "\n\t") for it in TEXTS],
        "short": shorten(TEXTS[4], 10),
        "sizes": [size_words(it) for it in SIZES],
        "shares": [parts_words(it) for it in given["shares"]],
        "deviations": [deviation_words(it) for it in given["deviations"]],
        "titles": [TITLES[kind] for kind in KINDS],
        "not_meant": [list(does_not_mean(kind)) for kind in KINDS],
        "origins": html_card._ORIGINS,
    }


def test_page_explains_verdicts_like_the_report_page() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    rules = re.findall(r"<p><strong>(.*?)</strong> (.*?)</p>", page)
    assert rules == list(HOW_TO_READ)
    evidence = (STATIC / "evidence.js").read_text(encoding="utf-8")
    for table in (html_evidence._STATES, html_evidence._RELATIONS, html_card._POINTS_TO):
        assert all(words in evidence for words in table.values())
    assert all(words in evidence for key, words in html_evidence._POINTS_TO.items())
    assert f"{GAIN} times as strong" in (STATIC / "figure.js").read_text(encoding="utf-8")


def test_files_hold_no_markup_from_text_and_no_address_elsewhere() -> None:
    risky = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(\s*[\"'`]"
        r"|localStorage|sessionStorage|document\.cookie|\bstyle=|\son\w+=|<style|https?://(?!www\.w3\.org/2000/svg)"
    )
    files = [path for path in STATIC.iterdir() if path.is_file()]
    assert {path.suffix for path in files} == {".html", ".css", ".js", ".svg"}
    for path in files:
        assert risky.findall(path.read_text(encoding="utf-8")) == [], path.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?! type=\"module\" src=\"static/page.js\"></script>)", page) == []
    names = {path.name for path in files}
    for path in files:
        asked = re.findall(r"(?:from \"\./|\"static/)([\w.]+)\"", path.read_text(encoding="utf-8"))
        assert set(asked) <= names
