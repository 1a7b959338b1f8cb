"""What content credentials say of the picture's making, as ordinary claims.

Their trust is that of the signature. Credentials that do not hold are no better than plain metadata: their
claims are unsigned.
"""

from typing import Literal

from vestige.provenance import wording
from vestige.provenance.c2pa_store import CREATED, Described
from vestige.provenance.source_types import PointsTo, source_type
from vestige.provenance.text import one_line
from vestige.results import Claim, CredentialIngredient, Credentials

ORIGIN = "C2PA"
_MAX_NAMED = 6
_Trust = Literal["unsigned", "signed", "signed_and_trusted"]
_TRUST: dict[str, _Trust] = {"trusted": "signed_and_trusted", "valid": "signed"}
_RELATIONS = {
    "parentOf": "says that the picture was made from {}",
    "componentOf": "says that the picture includes {}",
    "inputTo": "says that {} was given to a step of its making",
}


def c2pa_claims(described: Described) -> list[Claim]:
    """Claims of content credentials, in a fixed order."""
    credentials = described.credentials
    trust = _TRUST.get(credentials.state, "unsigned")
    first = wording.claim(ORIGIN, "credential", summary(credentials)[len(ORIGIN) :].strip())
    claims = [first]
    if credentials.state != "unreadable":
        claims += _source_types(credentials)
        claims += _software(described)
        claims += _steps(described)
        for author in described.authors:
            claims += wording.maker(ORIGIN, "names the author", author)
        claims += wording.time(ORIGIN, "signed", credentials.signed_at or "")
        for action in credentials.actions:
            if action.action == CREATED:
                claims += wording.time(ORIGIN, "created", action.when)
    claims = [claim.model_copy(update={"trust": trust}) for claim in claims]
    if credentials.state != "unreadable":
        for ingredient in credentials.ingredients:
            claims += _ingredient(ingredient, described, trust)
    if described.has_identity:
        claims.append(
            wording.claim(
                ORIGIN, "credential", "holds a statement of somebody's identity, which was not checked"
            )
        )
    return claims


def summary(credentials: Credentials) -> str:
    """What checking gave, in one sentence that begins with the origin."""
    signer = _signer(credentials)
    if credentials.state == "trusted":
        return f"{ORIGIN} credentials are intact and signed by {signer}, who is on the trust list."
    if credentials.state == "valid":
        names = "a name in such a signature proves nothing by itself"
        if credentials.trust_list == "none":
            return (
                f"{ORIGIN} credentials are intact and signed by {signer}; whom to trust was not configured, "
                f"and {names}."
            )
        return (
            f"{ORIGIN} credentials are intact and signed by {signer}, who is not on the trust list; {names}."
        )
    problem = one_line(credentials.problems[0], 300) if credentials.problems else "A check failed."
    if credentials.state == "invalid":
        return f"{ORIGIN} credentials do not hold, so they count as unsigned: {problem}"
    if credentials.remote:
        return f"{ORIGIN} credentials lie elsewhere ({credentials.remote}) and were not fetched."
    return f"{ORIGIN} credentials could not be read: {problem}"


def _signer(credentials: Credentials) -> str:
    name, issuer = credentials.signer, credentials.issuer
    if name and issuer and name != issuer:
        return f"{name} ({issuer})"
    return name or issuer or "a signer without a name"


def _source_types(credentials: Credentials) -> list[Claim]:
    claims: list[Claim] = []
    of_steps: set[str] = set()
    for action in credentials.actions:
        declared = source_type(action.source_type)
        if declared is None:
            continue
        of_steps.add(action.source_type)
        if action.action == CREATED:
            claims += wording.source(ORIGIN, declared, action.source_type)
        else:
            # What one step brought in does not make the whole picture so.
            points_to: PointsTo | None = "edited" if declared.points_to in ("generated", "edited") else None
            step = one_line(action.action.removeprefix("c2pa."), 60) or "without a name"
            words = f"says of the step “{step}” that its outcome {declared.words} ({declared.term})"
            claims.append(wording.claim(ORIGIN, "source_type", words, action.source_type, points_to))
    for value in credentials.source_types:
        if value not in of_steps:
            claims += wording.source(ORIGIN, source_type(value), value)
    return list({claim.statement: claim for claim in claims}.values())


def _software(described: Described) -> list[Claim]:
    credentials = described.credentials
    names = [credentials.claim_generator, *(action.software for action in credentials.actions)]
    claims: list[Claim] = []
    # A program can generate and edit: where the steps say what was done, its name says nothing more.
    silent = not credentials.source_types and not credentials.ingredients
    for name in list(dict.fromkeys(filter(None, names)))[:_MAX_NAMED]:
        for claim in wording.software(ORIGIN, name):
            claims.append(claim if silent else claim.model_copy(update={"points_to": None}))
    return claims


def _steps(described: Described) -> list[Claim]:
    """The edits that are listed."""
    actions = [action.action for action in described.credentials.actions]
    steps = list(
        dict.fromkeys(one_line(name.removeprefix("c2pa."), 60) for name in actions if name != CREATED)
    )
    if not steps:
        return []
    more = f" and {len(steps) - _MAX_NAMED} more" if len(steps) > _MAX_NAMED else ""
    words = f"lists the steps {', '.join(filter(None, steps[:_MAX_NAMED]))}{more}"
    points_to: PointsTo | None = "edited" if described.made == "edited" else None
    return [wording.claim(ORIGIN, "software", words, "\n".join(actions), points_to)]


def _ingredient(ingredient: CredentialIngredient, described: Described, trust: _Trust) -> list[Claim]:
    name = f"“{ingredient.title}”" if ingredient.title else "a picture without a name"
    words = _RELATIONS.get(ingredient.relationship, "names the ingredient {}").format(name)
    claims: list[Claim] = []
    for value in ingredient.source_types:
        declared = source_type(value)
        if declared is None:
            continue
        points_to: PointsTo | None = None
        if ingredient.state != "invalid" and ingredient.relationship == "parentOf":
            # The original says what the picture is only as far as nothing was changed since.
            if declared.points_to is not None:
                points_to = described.made if described.made == declared.points_to else "edited"
        elif ingredient.state != "invalid" and ingredient.relationship == "componentOf":
            points_to = "edited"
        rest = ", whose credentials do not hold" if ingredient.state == "invalid" else ""
        found = wording.claim(
            ORIGIN,
            "source_type",
            f"{words}, which {declared.words} ({declared.term}){rest}",
            value,
            points_to,
        )
        claims.append(found.model_copy(update={"trust": _weaker(trust, ingredient)}))
    return claims


def _weaker(trust: _Trust, ingredient: CredentialIngredient) -> _Trust:
    """A statement about an ingredient is worth no more than the ingredient's own signature."""
    if trust == "unsigned" or ingredient.state == "invalid":
        return "unsigned"
    if ingredient.state == "trusted":
        return trust
    return "signed"
