"""A page for each shipped model, of its card."""

from docs_site.card_parts import files, measured, training, verdicts
from docs_site.made import MadePage, table
from vestige.inference.card import ExtractorCard, ModelCard
from vestige.inference.package import (
    DEFAULT_MODEL,
    find_card,
    load_extractor_package,
    shipped_extractors,
    shipped_models,
)

SECTION = "Models"
_TARGETS = {
    "residual": "the trace of a simulated generator: picture minus reconstruction",
    "noise": "noise that was added (a denoiser, to compare with)",
    "imprint": "nothing given: it was trained end to end with a detector",
}


def shipped() -> dict[str, ModelCard | ExtractorCard]:
    """Name -> card of everything that is in the package, detectors first, the default before the others."""
    names = sorted(shipped_models(), key=lambda name: name != DEFAULT_MODEL)
    cards: dict[str, ModelCard | ExtractorCard] = {name: find_card(name)[1] for name in names}
    cards |= {name: load_extractor_package(name).card for name in shipped_extractors()}
    return cards


def card_pages() -> list[MadePage]:
    """The list of models, and a page for each."""
    cards = shipped()
    rows = [
        [f"[{card.name}]({card.name}.md)", card.version, _kind(card), card.summary] for card in cards.values()
    ]
    text = (
        "# Models\n\nWhat is in the package, as the cards say it: every figure below comes from a "
        "`card.json`, and every interval is one of 95 % unless it says otherwise.\n\n"
        + table(["Name", "Version", "Kind", "What it is"], rows)
        + "\n\nFigures of different models can be compared only where they are of the same pictures: "
        "[results](../results/README.md). Which one to use: "
        "[user guide](../user-guide.md#which-model). Own packages: "
        "[packages without their tower](../towers.md).\n"
    )
    pages = [MadePage("models/index.md", "All models", text, SECTION)]
    for name, card in cards.items():
        file = f"src/vestige/models/{name}/card.json"
        pages.append(MadePage(f"models/{name}.md", name, card_page(card), SECTION, stands_for=(file,)))
    return pages


def card_page(card: ModelCard | ExtractorCard) -> str:
    """The page of one card, in Markdown."""
    parts = [f"# {card.title}", card.summary, _facts(card), _failures(card)]
    parts += measured(card)
    if isinstance(card, ModelCard):
        parts += verdicts(card)
    parts += training(card)
    parts += files(card)
    return "\n\n".join(part for part in parts if part) + "\n"


def _kind(card: ModelCard | ExtractorCard) -> str:
    if isinstance(card, ExtractorCard):
        return "extractor: draws a signature, gives no verdict"
    return "detector, the default" if card.name == DEFAULT_MODEL else "detector"


def _facts(card: ModelCard | ExtractorCard) -> str:
    rows = [
        ["Kind", _kind(card)],
        ["Method", f"`{card.method}` ([methods](../methods/index.md))"],
        ["Licence", card.licence],
        ["Needs", f"Vestige {card.minimum_vestige} or later"],
    ]
    if isinstance(card, ExtractorCard):
        rows += [
            ["Learned to predict", _TARGETS[card.target]],
            ["Was shown", f"the {card.input} picture"],
            ["Reach", f"{card.reach} pixels"],
        ]
        return table(["", ""], rows)
    if card.views.kind == "facts":
        rows.append(["Looks at", "facts of the file, never the picture"])
    else:
        views = card.views
        rows.append(
            [
                "Looks at",
                f"at most {views.count} patches of {views.size} x {views.size} pixels, never resampled; "
                f"pictures with a side below {views.minimum_side} pixels are inconclusive",
            ]
        )
    rows.append(["Map", "its own" if card.outputs.map else "none of its own: scores of patches"])
    if card.tower is not None:
        rows.append(["Weights", "not all in the package: [tower](#tower)"])
    if card.quantisation is not None:
        rows.append(["Numbers", card.quantisation.describe()])
    return table(["", ""], rows)


def _failures(card: ModelCard | ExtractorCard) -> str:
    lines = "\n".join(f"- {line}" for line in card.failure_modes)
    return f"## Known failures\n\n{lines}" if lines else ""
