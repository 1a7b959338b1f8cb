"""Lines of evidence side by side, and whether they agree. No claim ever moves a verdict."""

from typing import Literal, NamedTuple

from vestige.provenance.c2pa_claims import ORIGIN
from vestige.results import Agreement, Claim, Credentials, Evidence, EvidenceLine, Verdict

MISSING_PROVES_NOTHING = (
    "The file says nothing of how it was made. That proves nothing: most sites remove such data."
)
MAX_STATEMENTS = 3

_PIXELS = {
    Verdict.LIKELY_GENERATED: "The pixels look like those of generated pictures (likely generated).",
    Verdict.PARTLY_GENERATED: "A part of the picture looks generated (likely partly generated).",
    Verdict.LIKELY_REAL: "The pixels show no traces of generators that the model knows (likely real).",
    Verdict.INCONCLUSIVE: "The pixels do not allow a verdict (inconclusive).",
}
_FILE = "Format, size and metadata of the file, and not the picture, were judged ({})."
_POINTS: dict[Verdict, Literal["generated", "edited", "real"] | None] = {
    Verdict.LIKELY_GENERATED: "generated",
    Verdict.PARTLY_GENERATED: "edited",
    Verdict.LIKELY_REAL: "real",
    Verdict.INCONCLUSIVE: None,
}
_WORTH = {
    "signed_and_trusted": "The signed statement comes from a signer on the trust list: strong evidence.",
    "signed": (
        "The statement is signed, but by nobody on a trust list: anyone can sign, so it is worth little more "
        "than plain metadata."
    ),
    "unsigned": "Plain metadata are weak evidence: anyone can write or remove them.",
}
_SAY = {"generated": "is generated", "camera": "comes from a camera"}


class Compared(NamedTuple):
    """Lines of evidence and whether they agree."""

    lines: list[EvidenceLine]
    agreement: Agreement


def compare(
    verdict: Verdict, evidence: Evidence, claims: list[Claim], credentials: Credentials | None
) -> Compared:
    """Put the evidence into lines: pixels first, then what is signed, then what is not.

    Args:
        verdict, evidence: of the pixels.
        claims: all claims, those of the credentials (origin "C2PA") included.
        credentials: as read, None without any.
    """
    looked_at = evidence.looked_at
    says = _PIXELS[verdict] if looked_at == "pixels" else _FILE.format(verdict.words)
    first = EvidenceLine(origin=looked_at, says=says, points_to=_POINTS[verdict], trust="measured")
    others = [line for line in [_credential_line(claims, credentials), *_plain_lines(claims)] if line]
    others.sort(key=lambda line: line.trust == "unsigned")  # stable
    return Compared([first, *others], _agreement(verdict, evidence, others, bool(claims)))


def _credential_line(claims: list[Claim], credentials: Credentials | None) -> EvidenceLine | None:
    """All that content credentials say is one line, as one signature covers it."""
    own = [claim for claim in claims if claim.origin == ORIGIN]
    if credentials is None or not own:
        return None
    pointing = [claim for claim in own if claim.points_to is not None]
    pointed = {claim.points_to for claim in pointing}
    points_to: Literal["generated", "camera", "edited"] | None = next(
        (way for way in ("generated", "edited", "camera") if way in pointed), None
    )
    summary = [claim for claim in own if claim.kind == "credential"][:1]
    deciding = [claim for claim in pointing if claim.points_to == points_to]
    shown = [*summary, *pointing[:MAX_STATEMENTS]]
    # What an ingredient's credentials say may be worth less than the signature around it.
    order = ("unsigned", "signed", "signed_and_trusted")
    trusts = [claim.trust for claim in deciding] or [claim.trust for claim in summary]
    trust = max(trusts, key=order.index, default="unsigned")
    return EvidenceLine(origin=ORIGIN, says=_joined(shown), points_to=points_to, trust=trust)


def _plain_lines(claims: list[Claim]) -> list[EvidenceLine]:
    """One line for each block and direction, in the order in which they come."""
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        if claim.origin != ORIGIN and claim.points_to is not None:
            groups.setdefault((claim.origin, claim.points_to), []).append(claim)
    return [
        EvidenceLine(
            origin=origin,
            says=_joined(found[:MAX_STATEMENTS]),
            points_to=found[0].points_to,
            trust=found[0].trust,
        )
        for (origin, _), found in groups.items()
    ]


def _joined(claims: list[Claim]) -> str:
    return " ".join(dict.fromkeys(claim.statement for claim in claims))


def _agreement(
    verdict: Verdict, evidence: Evidence, lines: list[EvidenceLine], has_claims: bool
) -> Agreement:
    saying = [line for line in lines if line.points_to in _SAY]
    ways = {line.points_to for line in saying}
    edited = any(line.points_to == "edited" for line in lines)
    measured = evidence.looked_at == "pixels" and verdict is not Verdict.INCONCLUSIVE
    if len(ways) > 1:
        return Agreement(state="disagree", sentence=_contradiction(saying))
    if not ways:
        return _silent(measured, edited, has_claims)
    way = "generated" if "generated" in ways else "camera"
    worth = _WORTH[saying[0].trust]  # lines stand in the order of trust
    if saying[0].trust == "unsigned" and any(line.trust != "unsigned" for line in lines if line.points_to):
        worth += " What is signed says only that the picture was edited."
    if not measured:
        why = (
            "the pixels do not allow a verdict"
            if evidence.looked_at == "pixels"
            else "this model did not look at the picture"
        )
        sentence = f"The file claims that the picture {_SAY[way]}; {why}. {worth}"
        return Agreement(state="only_claims", sentence=sentence)
    if verdict.says_generated == (way == "generated"):
        part = verdict is Verdict.PARTLY_GENERATED
        pixels = f"{'in part look' if part else 'look'} generated" if verdict.says_generated else "look real"
        sentence = (
            f"Pixels and file agree: the pixels {pixels}, and the file claims that the picture {_SAY[way]}."
        )
        return Agreement(state="agree", sentence=f"{sentence} {worth}")
    return Agreement(
        state="disagree", sentence=f"{_clash(verdict, way)} {worth} Look closer before you conclude."
    )


def _contradiction(saying: list[EvidenceLine]) -> str:
    named = " and ".join(f"{line.origin} says that it {_SAY[str(line.points_to)]}" for line in saying[:4])
    first, second = saying[0].trust, saying[-1].trust
    worth = (
        f"{_WORTH[first]} The others are weaker." if first != second else "None of them outweighs the others."
    )
    return f"The file contradicts itself: {named}. {worth} Look closer before you conclude."


def _clash(verdict: Verdict, way: str) -> str:
    if way == "generated":
        return (
            "Pixels and file disagree: the file claims that the picture is generated, and the pixels do not "
            "confirm it."
        )
    if verdict is Verdict.PARTLY_GENERATED:
        return (
            "Pixels and file disagree: the file claims that the picture comes from a camera, yet a part of "
            "it looks generated. An edited photograph can be both."
        )
    return (
        "Pixels and file disagree: the file claims that the picture comes from a camera, yet the pixels look "
        "generated. Strong edits can make a photograph look so."
    )


def _silent(measured: bool, edited: bool, has_claims: bool) -> Agreement:
    """Where no claim says generated or camera."""
    if edited:
        sentence = (
            "The file claims that the picture was edited. That neither confirms nor contradicts the pixels: "
            "it does not say that all of the picture is generated, nor that none of it is."
        )
        return Agreement(state="only_pixels" if measured else "only_claims", sentence=sentence)
    says = (
        "What the file says of itself does not tell how the picture was made. That proves nothing: most "
        "sites remove such data."
        if has_claims
        else MISSING_PROVES_NOTHING
    )
    if measured:
        return Agreement(state="only_pixels", sentence=f"{says} Only the pixels speak here.")
    return Agreement(state="nothing", sentence=f"{says} Neither file nor pixels tell anything here.")
