"""The web page of `vestige serve`, in a browser, against the real server and the example pictures."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_samples import EXAMPLES, GENERATED, REAL, OpenPage, Site, give, site
from PIL import Image

from conftest import SIZE, brightness_graph, card_of
from signed_pictures import CREATED_BY_AI, authority, manifest, signed
from vestige import Detector
from vestige.reports.records import record_of, report_of
from vestige.reports.wording import TITLES, kind_of, percents, sentence

pytest_plugins = ["page_fixtures"]
expect = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright").expect
TOKEN = "letmein-1234"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("served")
    graph = brightness_graph(SIZE)
    (folder / "bright").mkdir()
    (folder / "bright/model.onnx").write_bytes(graph)
    (folder / "bright/card.json").write_text(json.dumps(card_of(graph)))
    (folder / "anchors.pem").write_text(authority().anchors)
    models = ("first", str(folder / "bright"))
    with site(models=models, trust_anchors=folder / "anchors.pem", max_picture_bytes=2_000_000) as running:
        yield running


@pytest.fixture(scope="module")
def reports() -> dict[Path, Any]:
    found = Detector.load().scan_many([REAL, GENERATED])
    return dict(zip((REAL, GENERATED), found, strict=True))


def file_of(name: str, data: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": data}


def encoded(size: tuple[int, int], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def test_each_picture_gets_its_verdict(served: Site, open_page: OpenPage, reports: dict[Path, Any]) -> None:
    page = open_page(served)
    cards = give(page, REAL, GENERATED)
    for card, (path, report) in zip(cards.all(), reports.items(), strict=True):
        assert card.locator("h3").inner_text() == path.name
        assert card.locator(".verdict").inner_text() == TITLES[kind_of(report)]
        low, probability, high = percents(report.evidence)
        assert card.locator(".number strong").inner_text() == probability
        assert card.locator(".pixels .sentence").inner_text() == sentence(report)
        spoken = f"{probability} on a scale from 0 to 100%; inconclusive between {low} and {high}"
        assert card.locator(".scale").get_attribute("aria-label") == spoken
        assert card.locator(".agreement").inner_text() == report.agreement.sentence
        assert "A score is no proof" in card.locator(".not-told").inner_text()
    # The marker and the band lie where the numbers say.
    box, marker = (cards.first.locator(name).bounding_box() for name in (".scale", ".marker"))
    where = (marker["x"] + marker["width"] / 2 - box["x"]) / box["width"]
    assert where == pytest.approx(reports[REAL].probability, abs=0.01)
    band = cards.first.locator(".zone-unsure").bounding_box()
    assert (band["x"] - box["x"]) / box["width"] == pytest.approx(
        reports[REAL].evidence.thresholds[0], abs=0.01
    )
    page.get_by_role("button", name="Likely generated 1").click()
    expect(page.locator(".card:visible h3")).to_have_text(GENERATED.name)
    page.get_by_role("button", name="All 2").click()
    expect(page.locator(".card:visible")).to_have_count(2)


def test_slider_fades_the_heat_map_over_the_picture(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    card = give(page, GENERATED).first
    heat, slider = card.locator("img.heat"), card.get_by_role("slider", name="Heat map")
    assert heat.bounding_box() == card.locator("img.preview").bounding_box()
    assert heat.evaluate("image => image.complete && image.naturalWidth > 100")
    assert heat.get_attribute("src").startswith("data:image/png;base64,")
    slider.focus()
    slider.press("End")
    assert heat.evaluate("image => image.style.opacity") == "1"
    slider.press("Home")
    assert heat.evaluate("image => image.style.opacity") == "0"
    assert slider.get_attribute("aria-valuetext") == "0 percent"


def test_signature_is_drawn_when_asked_for_and_put_away_again(served: Site, open_page: OpenPage) -> None:
    card = give(open_page(served), file_of("small.png", encoded((200, 120), "PNG"))).first
    button = card.get_by_role("button", name="Signature")
    button.click()
    drawn = card.locator("img.signature")
    drawn.wait_for()
    expect(button).to_have_attribute("aria-pressed", "true")
    size = drawn.evaluate("async image => (await image.decode(), [image.naturalWidth, image.naturalHeight])")
    assert size == [200, 120]
    assert "no verdict" in card.locator(".of-signature").inner_text()
    button.click()
    expect(drawn).to_be_hidden()
    expect(card.locator("img.heat")).to_be_visible()


def test_bad_files_say_why_and_keep_nothing_from_the_others(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    bad = [
        file_of("notes.jpg", b"these are notes", "image/jpeg"),
        file_of("empty.png", b""),
        file_of("huge.png", b"\x89PNG" + bytes(2_100_000)),
    ]
    cards = give(page, *bad, REAL)
    assert [card.locator(".verdict").inner_text() for card in cards.all()] == [
        "Could not be read",
        "Could not be read",
        "Not judged",
        "Likely real",
    ]
    assert "plain text" in cards.nth(0).locator(".sentence").inner_text()
    assert "empty" in cards.nth(1).locator(".sentence").inner_text()
    assert cards.nth(2).locator(".sentence").inner_text() == (
        "The file has 2.1 MB, and this server takes 2.0 MB at most."
    )
    assert page.watch.statuses <= {415, 422}
    cards.nth(0).get_by_role("button", name="Remove").click()
    expect(page.locator(".card")).to_have_count(3)


def test_pictures_can_be_pasted_and_dropped(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    send = """async ([kind, bytes]) => {
        const transfer = new DataTransfer();
        if (bytes) transfer.items.add(new File([new Uint8Array(bytes)], "image.png", {type: "image/png"}));
        else transfer.setData("text/plain", "https://example.org/picture.jpg");
        const name = kind === "paste" ? "clipboardData" : "dataTransfer";
        const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
        document.body.dispatchEvent(new Kind(kind, {[name]: transfer, bubbles: true, cancelable: true}));
    }"""
    picture = list(encoded((120, 100), "PNG"))
    page.evaluate(send, ["paste", picture])
    page.evaluate(send, ["paste", picture])
    page.evaluate(send, ["drop", picture])
    expect(page.locator(".card.done h3")).to_have_text(["pasted-1.png", "pasted-2.png", "image.png"])
    for kind, words in (("paste", "clipboard holds no picture"), ("drop", "holds no file")):
        page.evaluate(send, [kind, None])
        expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()


def test_everything_can_be_done_with_the_keyboard(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)

    def tab_to(words: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "() => { const f = document.activeElement;"
                " const label = f.getAttribute('aria-label') ?? f.closest('label')?.innerText;"
                " return (label ?? f.innerText).trim(); }"
            )
            if focused.startswith(words):
                return
        raise AssertionError(f"no way to {words}")

    page.on("filechooser", lambda chooser: None)  # playwright takes a moment before it catches the dialog
    tab_to("Choose pictures")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([REAL])
    expect(page.locator(".card.done")).to_have_count(1)
    assert page.evaluate("document.activeElement.id") == "choose"
    tab_to("Heat map")
    page.keyboard.press("ArrowRight")
    assert page.locator("img.heat").evaluate("image => image.style.opacity") == "0.51"
    tab_to("The file as measured")
    page.keyboard.press("Enter")
    expect(page.get_by_text("640 × 427 pixels")).to_be_visible()
    with page.expect_download():
        tab_to("Download JSON of china.jpg")
        page.keyboard.press("Enter")
    tab_to("Remove china.jpg")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "choose"


def test_json_and_report_page_can_be_kept(
    served: Site, open_page: OpenPage, reports: dict[Path, Any], tmp_path: Path
) -> None:
    page = open_page(served)
    card = give(page, REAL, GENERATED).first

    def kept(scope: Any, name: str) -> Path:
        with page.expect_download() as download:
            scope.get_by_role("button", name=name).click()
        target = tmp_path / download.value.suggested_filename
        download.value.save_as(target)
        return target

    one = kept(card, "Download JSON of china.jpg")
    assert one.name == "china.jpg.vestige.json"
    every = kept(page, "All as JSON")
    found = json.loads(every.read_text(encoding="utf-8"))
    assert found[:1] == json.loads(one.read_text(encoding="utf-8"))
    for record, report in zip(found, reports.values(), strict=True):
        ours = record_of(report) | {"path": record["path"], "heat_map": record["heat_map"]}
        assert json.loads(json.dumps(record_of(report_of(record)))) == json.loads(json.dumps(ours)) | {
            "probability": pytest.approx(report.probability, abs=1e-6),
            "logit": pytest.approx(report.logit, abs=1e-5),
            "spread": pytest.approx(report.spread, abs=1e-5),
            "views": record["views"],
        }
    html = kept(card, "Download report page of china.jpg")
    assert html.name == "china.jpg.vestige.html"
    text = html.read_text(encoding="utf-8")
    assert "1 picture examined" in text
    assert "china.jpg" in text
    both = kept(page, "All as report page").read_text(encoding="utf-8")
    assert "2 pictures examined" in both


def test_report_pages_are_divided_by_limits_and_models(served: Site, open_page: OpenPage) -> None:
    sizes = [("a", 60), ("a", 30), ("b", 5), ("a", 30), ("a", 1), ("a", 1), ("a", 1)]
    found = open_page(served).evaluate(
        """async (sizes) => {
            const { groups } = await import(new URL("static/download.js", document.baseURI).href);
            const jobs = sizes.map(([model, size]) => ({ model, file: { size } }));
            return groups(jobs, { request_bytes: 100, files: 3 }).map((group) =>
                group.map((job) => [job.model, job.file.size]));
        }""",
        sizes,
    )
    assert found == [
        [["a", 60], ["a", 30]],
        [["a", 30], ["a", 1], ["a", 1]],
        [["a", 1]],
        [["b", 5]],
    ]


def test_a_busy_server_is_asked_again(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    gate = served.app.state.gate
    gate.admitted += gate.places
    try:
        page.set_input_files("#files", [REAL])
        card = page.locator(".card")
        expect(card.locator(".verdict")).to_have_text("Waiting for the server")
        expect(card.locator(".sentence")).to_contain_text(
            re.compile(r"try again soon\. This page tries again after \d+ s")
        )
    finally:
        gate.admitted -= gate.places
    expect(card.locator(".verdict")).to_have_text("Likely real")
    expect(page.get_by_role("status").filter(has_text="china.jpg: Likely real.")).to_be_visible()
    assert page.watch.statuses == {429}


def test_nothing_is_lost_when_the_server_goes_away(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    page.route("**/v1/scan*", lambda route: route.abort())
    page.set_input_files("#files", [REAL, GENERATED])
    notice = page.get_by_role("alert").filter(
        has_text="The server does not answer. 2 pictures not judged yet."
    )
    notice.wait_for()
    page.unroute("**/v1/scan*")
    notice.get_by_role("button", name="Try again").click()
    expect(page.locator(".card.done")).to_have_count(2)
    expect(notice).to_be_hidden()


def test_a_page_without_its_server_says_so_and_recovers(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    page.route("**/v1/models", lambda route: route.abort())
    page.reload()
    notice = page.get_by_role("alert").filter(has_text="The server does not answer.")
    notice.wait_for()
    page.unroute("**/v1/models")
    notice.get_by_role("button", name="Try again").click()
    page.locator("#about").wait_for()
    expect(notice).to_be_hidden()


def test_what_is_cancelled_stays_and_can_be_judged_later(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    held: list[Any] = []
    page.route("**/v1/scan*", lambda route: held.append(route))
    page.set_input_files("#files", [REAL, GENERATED, EXAMPLES / "real/flower.jpg"])
    expect(page.locator(".card .verdict")).to_have_text(["Being judged…", "Being judged…", "Waiting"])
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".card .verdict")).to_have_text(["Cancelled"] * 3)
    page.unroute("**/v1/scan*")
    page.locator(".card").nth(2).get_by_role("button", name="Try again").click()
    expect(page.locator(".card.done h3")).to_have_text("flower.jpg")
    expect(page.locator(".card.cancelled")).to_have_count(2)


def test_token_is_asked_for_and_kept_nowhere(open_page: OpenPage) -> None:
    with site(token=TOKEN) as guarded:
        page = open_page(guarded, ready=False)
        field = page.get_by_role("textbox", name="Token")
        for wrong, words in (("not the one", "without spaces"), ("not-the-one", "did not accept")):
            field.fill(wrong)
            field.press("Enter")
            expect(page.locator("#token-problem")).to_contain_text(words)
        field.fill(TOKEN)
        field.press("Enter")
        page.locator("#about").wait_for()
        card = give(page, REAL).first
        assert card.locator(".verdict").inner_text() == "Likely real"
        stores = "{...localStorage}, {...sessionStorage}, document.cookie"
        kept = f"JSON.stringify([{stores}, document.body.outerHTML])"
        assert TOKEN not in page.evaluate(kept)
        assert TOKEN not in page.evaluate("document.querySelector('#token-input').value")
        page.reload()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("alert").filter(has_text="asks for a token")).to_be_visible()
        assert page.watch.statuses == {401}


def test_another_model_can_judge_again(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    card = give(page, REAL).first
    expect(card.locator(".by")).to_have_text("Judged by first 0.1.0")
    page.get_by_label("Model").select_option("brightness")
    page.get_by_role("button", name="Judge again with brightness").click()
    expect(card.locator(".by")).to_have_text("Judged by brightness 1.0")
    card.get_by_text("Where brightness 1.0 is known to fail").click()
    expect(card.get_by_text("Everything but brightness.")).to_be_visible()
    expect(page.get_by_role("button", name="Judge again")).to_be_hidden()


def test_signed_pictures_show_who_signed_and_what_was_done(served: Site, open_page: OpenPage) -> None:
    data = signed(manifest(CREATED_BY_AI), "JPEG", data=encoded((320, 240), "JPEG"))
    page = open_page(served)
    changed = bytearray(data)
    changed[-200] ^= 1
    cards = give(
        page, *(file_of(name, bytes(it), "image/jpeg") for name, it in (("a", data), ("b", changed)))
    )
    whole, broken = (cards.nth(number).locator(".credentials") for number in (0, 1))
    assert "signer is on the trust list" in whole.inner_text()
    assert "Sig Ner (Signers Ltd)" in whole.inner_text()
    assert whole.get_by_role("img").get_attribute("src").startswith("data:image/jpeg;base64,")
    whole.get_by_text("Steps (1)").click()
    assert "Paintbot" in whole.inner_text()
    assert cards.first.locator(".lines > li").count() == 2
    assert cards.first.locator(".lines > li").nth(1).locator(".points").inner_text() == "Points to: generated"
    assert "They do not hold" in broken.inner_text()
    assert "dataHash.mismatch" in broken.locator(".problems").inner_text()


def test_what_a_browser_cannot_show_or_should_not_gets_its_verdict(served: Site, open_page: OpenPage) -> None:
    cards = give(
        open_page(served),
        file_of("scan.tif", encoded((300, 200), "TIFF"), "image/tiff"),
        file_of("large.jpg", encoded((5000, 300), "JPEG"), "image/jpeg"),
    )
    expect(cards.nth(0).get_by_text("Your browser cannot show this kind")).to_be_visible()
    expect(cards.nth(0).locator(".heat")).to_be_visible()
    expect(cards.nth(1).get_by_text("which has 5000 × 300 pixels")).to_be_visible()
    assert cards.nth(1).locator(".preview").evaluate("image => image.naturalWidth") == 2048
    assert not cards.locator(".verdict", has_text="Could not").count()


def test_whatever_a_server_or_file_says_is_text(served: Site, open_page: OpenPage) -> None:
    markup = "<img src=https://example.org/x onerror=alert(1)><script>alert(2)</script>\u202egpj.exe"
    claim = {
        "origin": markup,
        "kind": "prompt",
        "statement": markup,
        "value": markup * 3,
        "points_to": "evil",
    }
    step = dict.fromkeys(("action", "software", "source_type", "when", "description"), markup)
    part = dict.fromkeys(("title", "format", "relationship", "state", "claim_generator"), markup)
    names = ("signer", "issuer", "claim_generator", "title", "remote", "trust_list", "state")
    credentials = dict.fromkeys(names, markup) | {
        "problems": [markup],
        "signed_at": markup,
        "source_types": [markup],
        "actions": [step],
        "ingredients": [part | {"source_types": [markup]}],
        "thumbnail": "https://example.org/tracker.png",
    }

    def answer(route: Any) -> None:
        real = route.fetch().json()
        record = real["reports"][0]
        record |= {"path": markup, "model": markup, "verdict": markup, "reasons": [markup]}
        record |= {"claims_detail": [claim | {"trust": markup}], "credentials": credentials}
        record |= {"lines": [{"origin": markup, "says": markup, "points_to": None, "trust": markup}] * 2}
        record |= {"agreement": {"state": "disagree", "sentence": markup}}
        record["facts"] |= {"format": markup, "conversions": [markup]}
        real["maps"] = ["data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>"]
        route.fulfill(json=real)

    page = open_page(served)
    page.route("**/v1/scan*", answer)
    card = give(page, file_of(markup.replace("/", ":"), REAL.read_bytes(), "image/jpeg")).first
    assert card.locator(".verdict").inner_text() == "A verdict that this page does not know"
    assert card.locator("script, img:not(.preview)").count() == 0
    assert card.locator(".agreement").text_content() == markup.replace("\u202e", "\\u202e")
    assert card.locator(".lines .origin").count() == 2


def test_what_is_not_known_is_not_made_up(served: Site, open_page: OpenPage) -> None:
    def answer(route: Any) -> None:
        real = route.fetch().json()
        unknown = {"probability": None, "spread": None, "heat_map": None, "agreement": None, "lines": []}
        real["reports"][0] |= unknown | {"verdict": "inconclusive"}
        route.fulfill(json=real | {"maps": [None]})

    page = open_page(served)
    page.route("**/v1/scan*", answer)
    card = give(page, REAL).first
    assert card.locator(".number").inner_text().startswith("unknown")
    assert card.locator(".marker, .heat, .side-by-side").count() == 0
    assert not re.search("NaN|null|undefined", card.inner_text())
    assert "No heat map" in card.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_is_accessible(served: Site, open_page: OpenPage, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(served, color_scheme=scheme)

    def check() -> None:
        for width in (360, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.run(page).response["violations"]
        assert [
            (item["id"], item["nodes"][0]["html"])
            for item in found
            if item["impact"] in ("serious", "critical")
        ] == []

    check()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 22, 26)"
    assert dark == (scheme == "dark")
    long = file_of("a-very-long-name-" * 9 + ".jpg", (EXAMPLES / "generated/gan-face-1.jpg").read_bytes())
    broken = file_of("b" * 150, b"notes")
    tampered = bytearray(signed(manifest(CREATED_BY_AI), "JPEG", data=GENERATED.read_bytes()))
    tampered[-200] ^= 1
    give(page, REAL, GENERATED, long, broken, file_of("signed.jpg", bytes(tampered), "image/jpeg"))
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    page.evaluate("document.querySelector('#status').textContent = 'Done.'")
    check()


def test_policy_forbids_all_that_the_page_does_not_need(served: Site, open_page: OpenPage) -> None:
    page = open_page(served)
    policy = page.request.get(served.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'self';", policy)
