"""What a verdict is called and how it is explained, in one place: terminal and HTML page both read it.

The sentences are careful on purpose. A wrong accusation does more harm than a missed forgery, a probability
is no proof, and "inconclusive" is an answer.
"""

import math
from collections import Counter
from typing import Literal

from vestige.results import Claim, Credentials, Evidence, EvidenceLine, HeatMap, ImageReport, Verdict

Kind = Literal["generated", "partly", "inconclusive", "real", "unreadable"]
KINDS: tuple[Kind, ...] = ("generated", "partly", "inconclusive", "real", "unreadable")

TITLES: dict[Kind, str] = {
    "generated": "Likely generated",
    "partly": "Likely partly generated",
    "inconclusive": "Inconclusive",
    "real": "Likely real",
    "unreadable": "Could not be read",
}

INCONCLUSIVE_MEANS = (
    "Inconclusive is an answer: the pixels do not allow another, so do not lean on the number."
)
PARTLY_MEANS = (
    "Likely partly generated: the model's own map marks a part and not the rest, which is not thereby real."
)
SCORE_IS_NO_PROOF = "The probability rests on pixels alone. It is a reason to look closer, not a proof."

HOW_TO_READ: tuple[tuple[str, str], ...] = (
    (
        "Read the words first.",
        "“Likely generated”, “inconclusive” or “likely real” is the verdict; models that can say where know "
        "“likely partly generated” too. The percentage behind it only says how strongly the pixels lean.",
    ),
    (
        "“Inconclusive” is an answer.",
        "It means that these pixels do not allow another one. It is neither a weak yes nor a weak no.",
    ),
    (
        "A percentage is not a proof.",
        "It was calibrated on one collection of pictures, named in the model's card. On other kinds of "
        "pictures, and on generators newer than the model, it can be off.",
    ),
    (
        "False accusations happen.",
        "Polished stock photos, strong edits, filters and night-mode phone pictures can look generated. "
        "Never accuse anyone on this score alone.",
    ),
    (
        "Copies mislead.",
        "Edits, upscaling, screenshots and repeated compression can hide traces or imitate them. Look for "
        "the earliest and largest copy.",
    ),
    (
        "Missing metadata prove nothing.",
        "Most sites remove them, and anyone can write false ones. That is why they stand apart here and do "
        "not change the verdict.",
    ),
    (
        "A signature is as good as its signer.",
        "Content credentials (C2PA) that hold show that nothing was changed since somebody signed. Who that "
        "was is known only if the signer is on a trust list: anyone can sign under any name.",
    ),
)

_NOT_MEANT: dict[Kind, tuple[str, ...]] = {
    "generated": (
        "It does not prove that the picture was generated: some photographs are judged wrongly.",
        "It does not say who made the picture, with which tool, or whether anyone meant to deceive.",
        "It does not say that all of the picture was generated: a retouched or upscaled photograph can "
        "look alike.",
    ),
    "partly": (
        "It does not prove that anything in the picture was generated: in some real photographs a part looks "
        "like it, and strong retouching of one region can too.",
        "It does not say that the rest is real. The rest only did not look generated to this model.",
        "It does not say whether the part was painted in, put in from another picture or only repaired, nor "
        "who did it, with which tool, or why.",
        "It does not draw the line: the map is coarse, and the part may be larger or smaller than it shows.",
    ),
    "inconclusive": (
        "It does not mean half real and half generated.",
        "It does not mean that the picture is suspicious, nor that it has been cleared.",
        "It does not mean that nothing can be found out: a larger or earlier copy, the source, or another "
        "method may still tell.",
    ),
    "real": (
        "It does not prove that the picture came from a camera: generators unknown to the model can slip "
        "through.",
        "It does not mean that the picture is unedited.",
        "It does not mean that what it shows is true: a real photograph can be staged, cropped, or shown "
        "with the wrong place and date.",
    ),
    "unreadable": ("It says nothing of what the picture shows or how it was made.",),
}

# Standard deviation of view logits. Rules of thumb: near 50 %, one logit is about 25 points.
_SPREADS = (
    (0.75, "the views agree closely"),
    (1.5, "the views mostly agree"),
    (3.0, "the views differ noticeably"),
    (math.inf, "the views disagree strongly"),
)


def kind_of(report: ImageReport) -> Kind:
    """Which of the five outcomes a report is; a report without a verdict could not be read."""
    if report.verdict is None:
        return "unreadable"
    outcomes: dict[Verdict, Kind] = {
        Verdict.LIKELY_GENERATED: "generated",
        Verdict.PARTLY_GENERATED: "partly",
        Verdict.INCONCLUSIVE: "inconclusive",
        Verdict.LIKELY_REAL: "real",
    }
    return outcomes[report.verdict]


def does_not_mean(kind: Kind) -> tuple[str, ...]:
    """What a reader might wrongly conclude from the outcome."""
    return _NOT_MEANT[kind]


def percents(evidence: Evidence) -> tuple[str, str, str]:
    """The low threshold, the probability and the high threshold in words such as "20%", "<1%".

    With as few decimals as keep a probability just beside a threshold on its side of it, and never 0% or 100%
    for the probability, which would claim certainty.
    """
    low, high = evidence.thresholds
    probability = evidence.probability
    if not math.isfinite(probability):
        return _percent(low, 0), "unknown", _percent(high, 0)
    probability = min(max(probability, 1e-9), 1 - 1e-9)
    for decimals in range(4):
        words = _percent(low, decimals), _percent(probability, decimals), _percent(high, decimals)
        if all(
            (value == probability) == (word == words[1])
            for value, word in ((low, words[0]), (high, words[2]))
        ):
            break
    low_words, word, high_words = (_trim(word) for word in words)
    return low_words, word, high_words


def _trim(words: str) -> str:
    return words[:-1].rstrip("0").rstrip(".") + "%" if "." in words else words


def _percent(value: float, decimals: int) -> str:
    step = 10.0**-decimals
    if value > 0 and 100 * value <= step / 2:
        return f"<{step:.{decimals}f}%"
    if value < 1 and 100 * value >= 100 - step / 2:
        return f">{100 - step:.{decimals}f}%"
    return f"{100 * value:.{decimals}f}%"


def sentence(report: ImageReport) -> str:
    """The verdict as one or two sentences with its number and the limits it was held against."""
    evidence = report.evidence
    kind = kind_of(report)
    if evidence is None or kind == "unreadable":
        reason = report.error.reason if report.error else "no verdict was reached"
        return f"This file was not judged: {reason.rstrip('.')}."
    low, probability, high = percents(evidence)
    if evidence.looked_at == "file":
        return (
            f"Judged by format, size and metadata of the file alone, never by the picture. The calibrated "
            f"probability of being generated is {probability}, the limits are {low} and {high}."
        )
    if kind == "generated":
        return (
            f"The pixels look like those of generated pictures. The calibrated probability is {probability}; "
            f"from {high} on, the model's limits allow the words “likely generated”."
        )
    if kind == "partly":
        return (
            "A part of the picture looks like generated pictures do, and the rest less so. The calibrated "
            f"probability for the picture as a whole is {probability} (limits {low} and {high}); it did not "
            "decide here."
        )
    if kind == "real":
        return (
            f"The pixels do not show the traces of generators that the model knows. The calibrated "
            f"probability of being generated is {probability}; up to {low}, the model's limits allow the "
            "words “likely real”."
        )
    if evidence.thresholds[0] <= evidence.probability <= evidence.thresholds[1]:
        return (
            f"The pixels do not allow a verdict. The calibrated probability of being generated is "
            f"{probability}, between the limits of {low} (likely real) and {high} (likely generated)."
        )
    return (
        f"The pixels do not allow a verdict. The probability alone, {probability}, would pass the limits "
        f"({low} and {high}), but there are reasons not to rely on it."
    )


def spread_words(evidence: Evidence) -> str:
    """How well the views agree, as a clause without a full stop."""
    count = len(evidence.views)
    if count <= 1:
        return (
            "one view only, so there is no agreement to measure" if count else "number of views not recorded"
        )
    words = next(words for limit, words in _SPREADS if not evidence.spread > limit)
    return f"{words} ({count} views, spread {evidence.spread:.1f})"


def deviation_words(deviation: float) -> str:
    """What a deviation says, as a clause without a full stop."""
    return (
        f"{deviation:.3g} on the model's own scale; the larger, the less the picture resembles what the "
        "model was fitted to"
    )


def parts_words(share: float) -> str:
    """What the generated share of the area looked at says, as a clause without a full stop."""
    return f"{_percent(share, 0)} of the area looked at resembles generated pictures, by the model's own map"


def trust_words(claim: Claim | EvidenceLine) -> str:
    """How far a claim or a line of evidence can be trusted."""
    return {
        "measured": "measured",
        "unsigned": "unsigned",
        "signed": "signed, by a signer who is not on a trust list",
        "signed_and_trusted": "signed, by a signer on a trust list",
    }[claim.trust]


_CREDENTIALS = {
    "trusted": "They hold, and the signer is on the trust list.",
    "valid": "The signature is intact, but the signer is not on the trust list: the name may be anyone's.",
    "invalid": "They do not hold, so what they say is worth no more than plain metadata.",
    "unreadable": "They could not be read.",
}
_NO_LIST = (
    "The signature is intact. Whom to trust was not configured, so who signed was not checked: the name may "
    "be anyone's."
)


def credentials_words(credentials: Credentials) -> str:
    """What checking content credentials gave, in one or two sentences."""
    if credentials.state == "unreadable" and credentials.remote:
        return "They lie elsewhere and were not fetched."
    if credentials.state == "valid" and credentials.trust_list == "none":
        return _NO_LIST
    return _CREDENTIALS[credentials.state]


def signer_words(credentials: Credentials) -> str:
    """The name in the signing certificate with its organisation, empty if there is none."""
    name, issuer = credentials.signer, credentials.issuer
    return f"{name} ({issuer})" if name and issuer and name != issuer else name or issuer


def tension(report: ImageReport) -> str | None:
    """A sentence if the claims of the file and the verdict on its pixels point different ways, else None."""
    if report.evidence is not None and report.evidence.looked_at == "file":
        return None
    pointed = {claim.points_to for claim in report.claims}
    if report.verdict in (Verdict.LIKELY_REAL, Verdict.INCONCLUSIVE) and "generated" in pointed:
        return (
            "The file claims to be generated and the pixels do not confirm it. That deserves a closer look."
        )
    if report.verdict is Verdict.PARTLY_GENERATED and "camera" in pointed:
        return (
            "The file claims to come from a camera, yet a part of it looks generated. An edited photograph "
            "can be both; look closer before you conclude."
        )
    if report.verdict is Verdict.LIKELY_GENERATED and "camera" in pointed:
        return (
            "The file claims to come from a camera, yet the pixels look generated. Edited photographs can do "
            "both; look closer before you conclude."
        )
    return None


_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def where_words(heat_map: HeatMap) -> str:
    """Where a heat map is highest and lowest, for readers who cannot see it."""
    cells = [
        (value, _place(row, len(line), index, len(heat_map.probabilities)))
        for row, line in enumerate(heat_map.probabilities)
        for index, value in enumerate(line)
        if math.isfinite(value)
    ]
    if not cells:
        return "It is empty."
    top, bottom = max(value for value, _ in cells), min(value for value, _ in cells)
    if top - bottom < 0.1:
        return f"It is even, about {_percent(top, 0)} all over."
    return (
        f"Leans most to generated at the {_most_near(cells, top)} ({_percent(top, 0)}), "
        f"least at the {_most_near(cells, bottom)} ({_percent(bottom, 0)})."
    )


def _most_near(cells: list[tuple[float, str]], value: float) -> str:
    """The place with most of the cells that come near a value: a model's own map may have many such cells."""
    return Counter(place for found, place in cells if abs(found - value) <= 0.02).most_common(1)[0][0]


def _place(row: int, columns: int, column: int, rows: int) -> str:
    vertical = _ROWS[min(3 * row // rows, 2)] if rows > 1 else "middle"
    horizontal = _COLUMNS[min(3 * column // columns, 2)] if columns > 1 else "centre"
    return "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"


def size_words(count: int | None) -> str:
    """A file's length, such as "230 kB"."""
    if count is None:
        return "in memory"
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
