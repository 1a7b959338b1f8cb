"""The documentation site: made pages, navigation, links, and that it loads nothing from elsewhere."""

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from vestige.inference.package import shipped_extractors, shipped_models
from vestige.results import ROW_FIELDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "tools"))

card_parts = importlib.import_module("docs_site.card_parts")
cards = importlib.import_module("docs_site.cards")
commands = importlib.import_module("docs_site.commands")
http_api = importlib.import_module("docs_site.http_api")
links = importlib.import_module("docs_site.links")
made = importlib.import_module("docs_site.made")
methods = importlib.import_module("docs_site.methods")
pages = importlib.import_module("docs_site.pages")
sidebar = importlib.import_module("docs_site.sidebar")

WRITTEN = sorted([*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")])
FENCES = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def pages_by_path() -> dict[str, Any]:
    return {page.path: page for page in pages.made_pages(ROOT)}


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return loaded


def test_every_entry_of_the_navigation_exists_and_every_page_is_in_it(
    config: dict[str, Any], pages_by_path: dict[str, Any]
) -> None:
    found = sidebar.paths(sidebar.filled(config["nav"], pages_by_path.values(), DOCS))
    assert len(found) == len(set(found))
    assert [path for path in found if path not in pages_by_path and not (DOCS / path).is_file()] == []
    written = {path.relative_to(DOCS).as_posix() for path in WRITTEN}
    assert (written | set(pages_by_path)) - set(found) == set()
    assert written.isdisjoint(pages_by_path), "a page is both written and made"


def test_a_section_that_is_missing_is_named() -> None:
    page = made.MadePage("a.md", "A", "", "Nowhere")
    with pytest.raises(ValueError, match="no section 'Nowhere'"):
        sidebar.filled([{"Decisions": []}], [page], DOCS)


@pytest.mark.parametrize("name", [*shipped_models(), *shipped_extractors()])
def test_every_shipped_model_has_its_card_on_a_page(name: str, pages_by_path: dict[str, Any]) -> None:
    card, text = cards.shipped()[name], pages_by_path[f"models/{name}.md"].text
    assert text.startswith(f"# {name} {card.version}\n")
    assert f"[{name}]({name}.md)" in pages_by_path["models/index.md"].text
    for said in (card.summary, card.licence, card.training.data, *card.failure_modes, *card.files.values()):
        assert said in text
    for source in card.training.sources:
        assert re.search(rf"^\| {re.escape(source.name)} \| .*\| {source.count} \| ", text, re.MULTILINE)
    assert text.count("| real |") == sum(source.label == 0 for source in card.training.sources)
    for item in card.results:
        assert item.metric in text
        assert item.data in text


def test_figures_of_a_card_have_interval_and_counts() -> None:
    card = cards.shipped()["clip"]
    item = next(item for item in card.results if item.metric.startswith("AUROC"))
    new = {"value": 0.5, "low": 0.25, "high": 0.75, "real": 7, "generated": 0, "data": "D"}
    item = item.model_copy(update=new)
    text = "\n".join(card_parts.measured(card.model_copy(update={"results": [item]})))
    assert f"| {item.metric} | 0.500 | 0.250\u00a0to\u00a00.750 | 7 | - |" in text
    assert "no figures" in "\n".join(card_parts.measured(card.model_copy(update={"results": []})))


def test_every_method_has_a_page(pages_by_path: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    from vestige.methods.registry import METHODS

    assert methods.registered(ROOT) == METHODS
    index = pages_by_path["methods/index.md"].text
    for name, place in methods.places(ROOT).items():
        path, _, anchor = place.partition("#")
        text = pages_by_path[path].text
        assert f"[`{name}`]({place.removeprefix('methods/')})" in index
        if anchor:
            words = importlib.import_module(METHODS[name]).__doc__ or ""
            assert f"\n## {anchor}\n\n{words.splitlines()[0]}" in text


def test_every_command_has_its_help(pages_by_path: dict[str, Any]) -> None:
    helps = commands.all_helps()
    assert {"", "scan", "inspect", "serve", "fetch", "models", "train", "bench", "data index"} <= set(helps)
    both = "".join(pages_by_path[f"reference/{name}.md"].text for name in ("commands", "workshop-commands"))
    for name, text in helps.items():
        assert text.startswith(f"Usage: {' '.join(['vestige', *name.split()])} ")
        assert text.strip() in both
        assert max(map(len, text.splitlines())) <= commands.WIDTH + 2
    assert "--fail-on" in pages_by_path["reference/commands.md"].text


def test_the_api_names_verdicts_and_columns(pages_by_path: dict[str, Any]) -> None:
    text = pages_by_path["reference/api/vestige.results.md"].text
    assert "`inconclusive`" in text
    assert f"`{ROW_FIELDS[-1]}`." in text


REWRITER = links.Rewriter(
    ROOT,
    [
        made.MadePage("methods/gamma.md", "", "", "", origin="src/vestige/methods/gamma/README.md"),
        made.MadePage("models/first.md", "", "", "", stands_for=("src/vestige/models/first/card.json",)),
        made.MadePage("decisions/index.md", "", "", ""),
        made.MadePage("contributing.md", "", "", "", origin="CONTRIBUTING.md"),
    ],
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a](towers.md#x)", "[a](towers.md#x)"),
        ("[GAMMA](../src/vestige/methods/gamma/README.md#y)", "[GAMMA](methods/gamma.md#y)"),
        ("[c](../src/vestige/models/first/card.json)", "[c](models/first.md)"),
        ("[decisions](decisions/)", "[decisions](decisions/index.md)"),
        ("[results](results/)", "[results](results/README.md)"),
        ("[the `make` file](../Makefile)", "the `make` file (`Makefile`)"),
        ("[Makefile](../Makefile)", "`Makefile`"),
        ("![a](<results/nirnet-imprints/imprints.svg>)", "![a](<results/nirnet-imprints/imprints.svg>)"),
        ("`[a](../Makefile)`", "`[a](../Makefile)`"),
        ("```\n[a](../Makefile)\n```", "```\n[a](../Makefile)\n```"),
        ("[a](https://x.example/) [b](#c)", "[a](https://x.example/) [b](#c)"),
        ("[d](mailto:e@f.example)", "[d](mailto:e@f.example)"),
        ("[gone](../no/such.md)", "[gone](../no/such.md)"),
    ],
)  # fmt: skip
def test_links_lead_to_the_site(before: str, after: str) -> None:
    assert REWRITER.rewrite(before, origin="docs/README.md", path="README.md") == after


def test_links_are_counted_from_where_a_page_lies() -> None:
    origin, path = "src/vestige/methods/gamma/README.md", "methods/gamma.md"
    text = "[t](../../../../docs/towers.md) and [c](../../../../CONTRIBUTING.md)"
    assert REWRITER.rewrite(text, origin=origin, path=path) == "[t](../towers.md) and [c](../contributing.md)"
    assert REWRITER.rewrite("[x](y.md)", origin="", path="models/index.md") == "[x](y.md)"


def test_cells_of_tables_are_harmless() -> None:
    text = made.table(["a", "b"], [["x|y\nz", "1\u00a02"]])
    assert text == "| a | b |\n| --- | --- |\n| x\\|y z | 1\u00a02 |"


def slugs(page: Path) -> set[str]:
    """Anchors of a page as GitHub makes them."""
    text = FENCES.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_of_written_pages_resolve_in_the_repository(page: Path) -> None:
    text = FENCES.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(<?([^()<>\s]+)>?\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.exists(), target
        if anchor and goal.suffix == ".md":
            assert anchor in slugs(goal), target


def small_document() -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/Answer"}, "example": {"ok": True}}
    error = {"schema": {"anyOf": [{"$ref": "#/components/schemas/Answer"}, {"type": "null"}]}}
    error["examples"] = {"x": {"value": {"error": {"code": "busy"}}}}
    answers = {
        "200": {"description": "Fine.", "content": {"application/json": answer}},
        "429": {"description": "Wait.", "content": {"application/json": error}},
    }
    query = {"name": "map", "schema": {"type": "boolean", "default": False, "description": "Also maps."}}
    operation = {"summary": "Judge", "parameters": [query], "responses": answers, "security": [{"token": []}]}
    properties = {"ok": {"type": "boolean"}, "rows": {"type": "array", "items": {"type": "number"}}}
    schemas = {"Answer": {"properties": properties, "required": ["ok"]}}
    document = {"info": {"description": "About."}, "paths": {"/v1/x": {"post": operation}}}
    return {**document, "components": {"schemas": schemas}}


def test_the_http_page_says_what_the_document_says() -> None:
    text = http_api.page(small_document())
    assert "## POST /v1/x" in text
    assert "| `map` | boolean | `false` | Also maps. |" in text
    assert "| 200 | Fine. | `application/json`: [Answer](#answer) |  |" in text
    assert "| 429 | Wait. | `application/json`: [Answer](#answer) or null | `busy` |" in text
    assert "| `ok` | boolean | yes |\n| `rows` | list of number |  |" in text
    assert "Asks for the token" in text


def test_without_the_server_the_http_page_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, Any]:
        raise ImportError("No module named 'fastapi'")

    monkeypatch.setattr(http_api, "openapi", absent)
    page = http_api.http_page()
    assert "could not be loaded" in page.text
    assert "fastapi" in page.left_out
    assert page.attachments == {}


def test_nothing_in_the_configuration_asks_for_another_place(config: dict[str, Any]) -> None:
    assert config["strict"] is True
    assert config["theme"]["font"] is False
    assert "analytics" not in config.get("extra", {})
    assert "repo_url" not in config, "the theme would ask its host for figures"
    assert "extra_javascript" not in config
    assert not any("://" in entry for entry in config["extra_css"])
    inside = config["plugins"][1]["mkdocstrings"]["handlers"]["python"]["inventories"]
    assert inside == []
    for sheet in (DOCS / "assets").glob("*.css"):
        assert not re.search(r"url\(|@import", sheet.read_text(encoding="utf-8"))


def test_every_refusal_stands_in_the_guide_under_its_status() -> None:
    pytest.importorskip("starlette")
    from vestige.apps.server.refusals import STATUS

    rows = re.findall(
        r"^\| ([\d, ]+) \| (.+?) \|", (DOCS / "serving.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    said = {
        (code, int(status))
        for statuses, codes in rows
        for status in statuses.split(",")
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert set(STATUS.items()) - said == set()


def test_every_figure_of_the_server_stands_in_the_guide() -> None:
    pytest.importorskip("prometheus_client")
    pytest.importorskip("fastapi")
    from vestige.apps.server.app import create_app
    from vestige.apps.server.settings import ServerSettings

    text = create_app(ServerSettings()).state.metrics.text().decode()
    names = set(re.findall(r"^# TYPE (\w+) (?:counter|gauge|histogram)$", text, re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    said = (DOCS / "serving.md").read_text(encoding="utf-8")
    assert len(names) > 5
    assert {name for name in names if f"`{name}`" not in said} == set()


class Loads(HTMLParser):
    """Collects what a page loads from elsewhere; plain links load nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            loads = name in ("src", "srcset", "href", "data", "poster", "action", "xlink:href") and tag != "a"
            if loads and re.match(r"\s*(https?:)?//", value or ""):
                self.found.append(f"{tag} {name} {value}")


def test_the_check_for_loads_finds_some() -> None:
    parser = Loads()
    parser.feed('<a href="https://a.example"></a><script src="//b.example"></script><img src="c.png">')
    assert parser.found == ["script src //b.example"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("material") is None or find_spec("mkdocstrings") is None:
        pytest.skip("the site is built with mkdocs-material and mkdocstrings, of the extra docs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(
    site: Path, config: dict[str, Any], pages_by_path: dict[str, Any]
) -> None:
    for path in sidebar.paths(sidebar.filled(config["nav"], pages_by_path.values(), DOCS)):
        page = site / re.sub(r"README$", "index", path.removesuffix(".md"))
        assert page.with_name(page.name + ".html").is_file(), path
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        parser = Loads()
        parser.feed(text)
        assert parser.found == [], file
        # GitHub begins a list in places where MkDocs goes on with a paragraph.
        prose = re.sub(
            r"<(pre|script|style)\b.*?</\1>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        assert not re.search(r"\n(- |\* |\d+\. )", prose), file
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet
    assert (site / "search" / "search_index.json").is_file()


def test_the_api_is_described_without_running_it(site: Path) -> None:
    text = (site / "reference" / "api" / "vestige.detector.html").read_text(encoding="utf-8")
    assert "unreadable ones become reports with an" in text
    assert 'id="vestige.detector.Detector.scan_many"' in text
    text = (site / "reference" / "api" / "vestige.images.html").read_text(encoding="utf-8")
    assert "enforced by decoding in a child process" in text
    text = (site / "reference" / "api" / "vestige.errors.html").read_text(encoding="utf-8")
    assert "truncated" in text
