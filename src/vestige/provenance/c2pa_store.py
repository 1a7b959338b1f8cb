"""From a manifest store as the C2PA library gives it (JSON) to `Credentials`, and to how a picture was made.

Everything in a store was written by strangers: types are checked, texts and lists are bounded, references
from manifest to manifest are followed a few steps and never in circles. Claim versions 1 and 2 differ in
where things stand (`c2pa.actions` and `c2pa.actions.v2`, agents as text or as objects); both are read.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from vestige.provenance.c2pa_codes import TRUSTED, UNTRUSTED, VALIDATED_INGREDIENT, in_words
from vestige.provenance.generation import read_object
from vestige.provenance.source_types import PointsTo, source_type
from vestige.provenance.text import one_line
from vestige.results import CredentialAction, CredentialIngredient, Credentials

MAX_ACTIONS = 50
MAX_INGREDIENTS = 20
MAX_PROBLEMS = 20
MAX_SOURCE_TYPES = 10
MAX_DEPTH = 8
_NAME, _TEXT = 120, 300

CREATED = "c2pa.created"
# Steps after which a picture is still made of what it was made of before.
_KEEPING = {
    "c2pa.opened", "c2pa.converted", "c2pa.transcoded", "c2pa.repackaged", "c2pa.published",
    "c2pa.watermarked", "c2pa.watermarked.bound", "c2pa.watermarked.unbound", "c2pa.edited.metadata",
    "c2pa.resized", "c2pa.resized.proportional", "c2pa.cropped", "c2pa.orientation", "c2pa.managed",
    "c2pa.redacted",
}  # fmt: skip
# How codes of success end: the older records of ingredients hold both kinds.
_GOOD = (".validated", ".match", ".trusted", ".accessible", ".insideValidity", ".notRevoked")
_IngredientState = Literal["trusted", "valid", "invalid", "unsigned", "unchecked"]


class Described(NamedTuple):
    """A store in our words.

    Attributes:
        credentials: what it says.
        made: how the picture as a whole came about, if all of it is true.
        authors: people whom signed statements name.
        has_identity: whether it holds identity assertions (CAWG), which are not checked.
    """

    credentials: Credentials
    made: PointsTo | None = None
    authors: tuple[str, ...] = ()
    has_identity: bool = False


def describe(text: str) -> Described:
    """Read a manifest store; one that makes no sense is "unreadable". Never raises.

    Args:
        text: the library's JSON.
    """
    store = read_object(text)
    manifests = _object(_object(store).get("manifests"))
    name = _text(_object(store).get("active_manifest"), 500)
    active = _object(manifests.get(name))
    if store is None or not active:
        return Described(unreadable("The manifest store makes no sense."))
    results = _object(store.get("validation_results"))
    signature = _object(active.get("signature_info"))
    actions = list(_actions(active))
    ingredients = _objects(active.get("ingredients"))
    problems = _problems(results)
    for what, count, limit in (
        ("steps", len(actions), MAX_ACTIONS),
        ("ingredients", len(ingredients), MAX_INGREDIENTS),
    ):
        if count > limit:
            problems.insert(0, f"Only the first {limit} of {count} {what} are listed here.")
    deltas = _deltas(results, name)
    credentials = Credentials(
        state=_state(store, bool(signature)),
        problems=list(dict.fromkeys(problems))[:MAX_PROBLEMS],
        signer=_text(signature.get("common_name"), _NAME),
        issuer=_text(signature.get("issuer"), _NAME),
        signed_at=_text(signature.get("time"), 40) or None,
        claim_generator=_generator(active),
        title=_text(active.get("title"), _NAME),
        actions=actions[:MAX_ACTIONS],
        ingredients=[_ingredient(found, manifests, deltas) for found in ingredients[:MAX_INGREDIENTS]],
        source_types=_own_source_types(active),
    )
    labels = [label for label, _ in _assertions(active)]
    return Described(
        credentials,
        _made(active, manifests, frozenset()),
        tuple(_authors(active)),
        any(label.startswith("cawg.identity") for label in labels),
    )


def unreadable(problem: str) -> Credentials:
    """Credentials of which nothing can be said but why."""
    return Credentials(state="unreadable", problems=[problem])


def _state(store: dict[str, Any], signed: bool) -> Literal["trusted", "valid", "invalid"]:
    state = _text(store.get("validation_state"), 20)
    if state == "Trusted" and signed:
        return "trusted"
    return "valid" if state == "Valid" and signed else "invalid"


def _problems(results: dict[str, Any]) -> list[str]:
    problems = [
        in_words(code, explanation)
        for code, explanation in _statuses(results.get("activeManifest"), "failure")
        if code != UNTRUSTED
    ]
    for found in _objects(results.get("ingredientDeltas")):
        problems += [
            f"Of an ingredient: {in_words(code, explanation)}"
            for code, explanation in _statuses(found.get("validationDeltas"), "failure")
            if code != UNTRUSTED
        ]
    return problems


def _actions(manifest: dict[str, Any]) -> Iterator[CredentialAction]:
    for label, data in _assertions(manifest):
        if label.split("__")[0] not in ("c2pa.actions", "c2pa.actions.v2"):
            continue
        agents = _objects(data.get("softwareAgents"))
        for action in _objects(data.get("actions")):
            index = action.get("softwareAgentIndex")
            agent = action.get("softwareAgent")
            if agent is None and isinstance(index, int) and 0 <= index < len(agents):
                agent = agents[index]
            parameters = _object(action.get("parameters"))
            yield CredentialAction(
                action=_text(action.get("action"), _NAME),
                software=_agent(agent),
                source_type=_text(action.get("digitalSourceType"), 200),
                when=_text(action.get("when"), 40),
                description=_text(action.get("description"), _TEXT)
                or _text(parameters.get("description"), _TEXT)
                or _text(action.get("reason"), _TEXT),
            )


def _agent(agent: object) -> str:
    if isinstance(agent, str):
        return one_line(agent, _NAME)
    found = _object(agent)
    return f"{_text(found.get('name'), _NAME)} {_text(found.get('version'), 40)}".strip()


def _generator(manifest: dict[str, Any]) -> str:
    named = [_agent(found) for found in _objects(manifest.get("claim_generator_info"))[:3]]
    return ", ".join(filter(None, named)) or _text(manifest.get("claim_generator"), _NAME)


def _own_source_types(manifest: dict[str, Any]) -> list[str]:
    """Source types that a manifest declares in its steps or its metadata."""
    found = [action.source_type for action in _actions(manifest)]
    found += _metadata_source_types(manifest)
    return list(dict.fromkeys(filter(None, found)))[:MAX_SOURCE_TYPES]


def _metadata_source_types(manifest: dict[str, Any]) -> list[str]:
    """The IPTC property inside metadata that are signed along, which speaks of the picture as a whole."""
    return [
        _text(value, 200)
        for label, data in _assertions(manifest)
        if label.split("__")[0] in ("c2pa.metadata", "cawg.metadata", "stds.iptc", "stds.iptc.photo-metadata")
        for name, value in data.items()
        if name.rpartition(":")[2].lower() == "digitalsourcetype"
    ]


def _authors(manifest: dict[str, Any]) -> Iterator[str]:
    for label, data in _assertions(manifest):
        if label.split("__")[0] == "stds.schema-org.CreativeWork":
            for author in _objects(data.get("author"))[:3]:
                if name := _text(author.get("name"), _NAME):
                    yield name


def _ingredient(
    found: dict[str, Any], manifests: dict[str, Any], deltas: dict[str, Any]
) -> CredentialIngredient:
    label = _text(found.get("active_manifest"), 500)
    manifest = _object(manifests.get(label))
    declared = [_text(found.get("digitalSourceType"), 200), *_lineage(label, manifests, frozenset())]
    return CredentialIngredient(
        title=_text(found.get("title"), _NAME),
        format=_text(found.get("format"), 60),
        relationship=_text(found.get("relationship"), 40),
        state=_ingredient_state(found, bool(manifest), deltas),
        claim_generator=_generator(manifest),
        source_types=list(dict.fromkeys(filter(None, declared)))[:MAX_SOURCE_TYPES],
    )


def _ingredient_state(found: dict[str, Any], has_manifest: bool, deltas: dict[str, Any]) -> _IngredientState:
    """What was recorded when it was put in, corrected by what differs now (`deltas`).

    The record alone was written by whoever signed; only with the differences is it a finding of ours.
    """
    if not has_manifest:
        return "unsigned"
    recorded = _object(found.get("validation_results")).get("activeManifest")
    delta = deltas.get(_text(found.get("label"), 200))
    failures = {code for code, _ in _statuses(recorded, "failure") + _statuses(delta, "failure")}
    failures |= {
        code
        for status in _objects(found.get("validation_status"))
        if not (code := _text(status.get("code"), 100)).endswith(_GOOD)
    }
    successes = {code for code, _ in _statuses(recorded, "success") + _statuses(delta, "success")}
    if failures - {UNTRUSTED}:
        return "invalid"
    if VALIDATED_INGREDIENT not in {code for code, _ in _statuses(delta, "success")}:
        return "unchecked"
    differs = {code for code, _ in _statuses(delta, "failure")}
    return "trusted" if TRUSTED in successes and UNTRUSTED not in differs else "valid"


def _deltas(results: dict[str, Any], name: str) -> dict[str, Any]:
    """What differs from the record of each ingredient of one manifest, by the label of its assertion."""
    found = {
        _text(delta.get("ingredientAssertionURI"), 600): delta.get("validationDeltas")
        for delta in _objects(results.get("ingredientDeltas"))
    }
    return {uri.rpartition("/")[2]: delta for uri, delta in found.items() if f"/{name}/" in uri}


def _lineage(label: str, manifests: dict[str, Any], seen: frozenset[str]) -> list[str]:
    """Source types of a manifest and of the originals that it names."""
    manifest = _object(manifests.get(label))
    if label in seen or len(seen) >= MAX_DEPTH:
        return []
    found = _own_source_types(manifest)
    for parent in _parents(manifest):
        found += _lineage(parent, manifests, seen | {label})
    return found


def _parents(manifest: dict[str, Any]) -> list[str]:
    return [
        label
        for ingredient in _objects(manifest.get("ingredients"))[:MAX_INGREDIENTS]
        if _text(ingredient.get("relationship"), 40) == "parentOf"
        and (label := _text(ingredient.get("active_manifest"), 500))
    ][:1]


def _made(manifest: dict[str, Any], manifests: dict[str, Any], seen: frozenset[str]) -> PointsTo | None:
    """How a picture as a whole came about, by its manifest.

    "generated" only where the picture itself was created so, or where its original was and only steps
    followed that change nothing of what is in it: a generated ingredient does not make a picture generated.
    """
    actions = list(_actions(manifest))
    created = [action.source_type for action in actions if action.action == CREATED]
    declared = [source_type(value) for value in [*created, *_metadata_source_types(manifest)]]
    ways = {found.points_to for found in declared if found is not None}
    changed = any(action.action not in {*_KEEPING, CREATED} for action in actions) or any(
        _text(ingredient.get("relationship"), 40) == "componentOf"
        for ingredient in _objects(manifest.get("ingredients"))
    )
    if "generated" in ways:
        return "generated"
    if "edited" in ways:
        return "edited"
    if "camera" in ways:
        return "edited" if changed else "camera"
    for parent in _parents(manifest):
        if parent not in seen and len(seen) < MAX_DEPTH:
            before = _made(_object(manifests.get(parent)), manifests, seen | {parent})
            return "edited" if changed else before
    return "edited" if changed and not created else None


def _assertions(manifest: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (_text(found.get("label"), 200), _object(found.get("data")))
        for found in _objects(manifest.get("assertions"))
    ]


def _statuses(results: object, kind: str) -> list[tuple[str, str]]:
    """Codes and explanations."""
    return [
        (_text(status.get("code"), 100), _text(status.get("explanation"), 300))
        for status in _objects(_object(results).get(kind))
    ]


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object, limit: int) -> str:
    return one_line(value, limit) if isinstance(value, str) else ""
