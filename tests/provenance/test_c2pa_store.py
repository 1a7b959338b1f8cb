"""Manifest stores as JSON, honest and hostile, without any signature: what is made of them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from vestige.provenance.c2pa_claims import c2pa_claims
from vestige.provenance.c2pa_codes import in_words
from vestige.provenance.c2pa_store import MAX_ACTIONS, MAX_INGREDIENTS, describe

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def store(manifests, active="a", state="Valid", results=None):
    return json.dumps(
        {
            "active_manifest": active,
            "manifests": manifests,
            "validation_state": state,
            "validation_results": results or {},
        }
    )


def manifest(*actions, ingredients=(), **rest):
    return {
        "signature_info": {"issuer": "I", "common_name": "N"},
        "assertions": [{"label": "c2pa.actions", "data": {"actions": list(actions)}}],
        "ingredients": list(ingredients),
        **rest,
    }


def test_agents_of_both_claim_versions():
    actions = {
        "label": "c2pa.actions.v2__1",
        "data": {
            "softwareAgents": [{"name": "First"}, {"name": "Second", "version": "2"}],
            "actions": [
                {"action": "c2pa.edited", "softwareAgentIndex": 1},
                {"action": "x", "softwareAgentIndex": 9},
            ],
        },
    }
    old = {
        "label": "c2pa.actions",
        "data": {"actions": [{"action": "c2pa.edited", "softwareAgent": "Old 1"}]},
    }
    found = describe(store({"a": manifest() | {"assertions": [old, actions]}}))
    assert [action.software for action in found.credentials.actions] == ["Old 1", "Second 2", ""]


def test_lists_and_texts_are_bounded():
    many = manifest(
        *[{"action": "c2pa.edited", "description": "x" * 1000}] * 500,
        ingredients=[{"title": "y" * 1000, "relationship": "componentOf"}] * 500,
        title="z" * 10_000,
    )
    found = describe(store({"a": many}))
    assert len(found.credentials.actions) == MAX_ACTIONS
    assert len(found.credentials.ingredients) == MAX_INGREDIENTS
    assert found.credentials.problems[:2] == [
        "Only the first 20 of 500 ingredients are listed here.",
        "Only the first 50 of 500 steps are listed here.",
    ]
    assert len(found.credentials.model_dump_json()) < 60_000


def test_manifests_that_name_each_other_in_circles_end():
    parent = {"relationship": "parentOf", "active_manifest": "b"}
    circle = {
        "a": manifest({"action": "c2pa.opened"}, ingredients=[parent]),
        "b": manifest({"action": "c2pa.opened"}, ingredients=[parent | {"active_manifest": "a"}]),
    }
    found = describe(store(circle))
    assert found.made is None
    assert found.credentials.state == "valid"


def test_a_long_chain_of_originals_is_followed_a_few_steps():
    chain = {
        str(number): manifest(
            {"action": "c2pa.opened"},
            ingredients=[{"relationship": "parentOf", "active_manifest": str(number + 1)}],
        )
        for number in range(1000)
    }
    chain["1000"] = manifest({"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"})
    assert describe(store(chain, active="0")).made is None
    assert describe(store(chain, active="996")).made == "camera"


def test_a_recorded_trust_is_not_ours():
    # Whoever signs writes the record of his ingredients; the differences come from checking.
    record = {"activeManifest": {"success": [{"code": "signingCredential.trusted"}], "failure": []}}
    ingredient = {
        "relationship": "parentOf",
        "active_manifest": "b",
        "label": "i",
        "validation_results": record,
    }
    both = {"a": manifest(ingredients=[ingredient]), "b": manifest()}

    def state(results):
        return describe(store(both, results=results)).credentials.ingredients[0].state

    def delta(uri="self#jumbf=/c2pa/a/c2pa.assertions/i", **statuses):
        found = {kind: [{"code": code} for code in codes] for kind, codes in statuses.items()}
        return {"ingredientDeltas": [{"ingredientAssertionURI": uri, "validationDeltas": found}]}

    checked = ["ingredient.manifest.validated"]
    assert state({}) == "unchecked"
    assert state(delta(success=checked)) == "trusted"
    assert state(delta(success=checked, failure=["signingCredential.untrusted"])) == "valid"
    assert state(delta(success=checked, failure=["assertion.dataHash.mismatch"])) == "invalid"
    assert state(delta("self#jumbf=/c2pa/b/c2pa.assertions/i", success=checked)) == "unchecked"


def test_metadata_that_are_signed_along():
    iptc = {
        "label": "c2pa.metadata",
        "data": {"Iptc4xmpExt:DigitalSourceType": IPTC + "trainedAlgorithmicMedia"},
    }
    found = describe(store({"a": manifest() | {"assertions": [iptc]}}))
    assert found.made == "generated"
    assert found.credentials.source_types == [IPTC + "trainedAlgorithmicMedia"]


def test_an_identity_assertion_is_told_and_worth_nothing():
    found = describe(
        store({"a": manifest() | {"assertions": [{"label": "cawg.identity", "data": {}}]}}, state="Trusted")
    )
    (identity,) = [claim for claim in c2pa_claims(found) if "identity" in claim.statement]
    assert (identity.trust, identity.points_to) == ("unsigned", None)
    assert "not checked" in identity.statement


def test_the_name_of_a_program_speaks_only_where_no_step_does():
    named = {"claim_generator_info": [{"name": "Midjourney"}]}
    (alone,) = [
        c for c in c2pa_claims(describe(store({"a": manifest(**named)}))) if "Midjourney" in c.statement
    ]
    assert alone.points_to == "generated"
    edit = {"action": "c2pa.created", "digitalSourceType": IPTC + "compositeWithTrainedAlgorithmicMedia"}
    claims = c2pa_claims(describe(store({"a": manifest(edit, **named)})))
    assert {claim.points_to for claim in claims} == {None, "edited"}


def test_a_signature_that_nobody_made_is_not_valid():
    unsigned = manifest()
    del unsigned["signature_info"]
    assert describe(store({"a": unsigned}, state="Trusted")).credentials.state == "invalid"
    assert describe(store({"a": manifest()}, state="Fantastic")).credentials.state == "invalid"


def test_codes_in_words():
    assert (
        in_words("claimSignature.mismatch")
        == "The signature does not fit what it signed (claimSignature.mismatch)."
    )
    assert in_words("new.code", "something odd\x1b[31m") == "Something odd (new.code)."
    assert in_words("", "") == "A check failed."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["label", "data", "actions", "action", "digitalSourceType", "softwareAgent", "ingredients",
             "name", "relationship", "active_manifest", "assertions", "failure", "code",
             "activeManifest", "author"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(json_values, json_values)
def test_no_store_makes_it_raise(one, other):
    for text in (
        json.dumps(one),
        store({"a": one, "b": other}),
        store(one),
        store({"a": manifest(one)}, results=other),
    ):
        c2pa_claims(describe(text))
