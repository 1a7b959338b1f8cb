"""Status codes of C2PA validation in words.

The codes are those of the C2PA specification, section "Validation" (claim versions 1 and 2), and of the
library where it goes beyond it.
"""

from vestige.provenance.text import one_line

UNTRUSTED = "signingCredential.untrusted"
TRUSTED = "signingCredential.trusted"
VALIDATED_INGREDIENT = "ingredient.manifest.validated"

_WORDS = {
    "assertion.dataHash.mismatch": "The picture was changed after it was signed",
    "assertion.bmffHash.mismatch": "The picture was changed after it was signed",
    "assertion.boxesHash.mismatch": "The picture was changed after it was signed",
    "assertion.hashedURI.mismatch": "A statement was changed after it was signed",
    "assertion.missing": "A signed statement is missing",
    "assertion.undeclared": "A statement was added that the signature does not cover",
    "assertion.inaccessible": "A signed statement lies elsewhere and was not fetched",
    "assertion.notRedacted": "A statement that should have been removed is still there",
    "assertion.selfRedacted": "The manifest claims to have removed a statement of its own",
    "assertion.json.invalid": "A signed statement is damaged",
    "assertion.cbor.invalid": "A signed statement is damaged",
    "assertion.action.ingredientMismatch": "A listed step does not fit the listed ingredients",
    "assertion.action.malformed": "The list of steps does not follow the specification",
    "assertion.action.redacted": "A listed step was removed, which is not allowed",
    "assertion.ingredient.malformed": "A listed ingredient does not follow the specification",
    "claim.missing": "The signed claim is missing",
    "claim.multiple": "There are several claims where one is allowed",
    "claim.malformed": "The signed claim does not follow the specification",
    "claim.hardBindings.missing": "Nothing ties the credentials to this picture",
    "claim.required.missing": "The signed claim lacks a required part",
    "claim.cbor.invalid": "The signed claim is damaged",
    "claimSignature.missing": "The signature is missing",
    "claimSignature.mismatch": "The signature does not fit what it signed",
    "claimSignature.outsideValidity": "The signature was made when its certificate was not valid",
    "manifest.inaccessible": "A manifest lies elsewhere and was not fetched",
    "manifest.multipleParents": "The manifest names several originals where one is allowed",
    "manifest.update.invalid": "An update of the credentials is not allowed as it was made",
    "manifest.update.wrongParents": "An update of the credentials does not name one original",
    "ingredient.hashedURI.mismatch": "The credentials of an ingredient were changed",
    "ingredient.manifest.missing": "The credentials of an ingredient are missing",
    "ingredient.manifest.mismatch": "The credentials of an ingredient were changed",
    "ingredient.claimSignature.missing": "The signature of an ingredient is missing",
    "ingredient.claimSignature.mismatch": "The signature of an ingredient was changed",
    "signingCredential.invalid": "The signing certificate does not follow the rules for such certificates",
    "signingCredential.expired": (
        "The signing certificate has expired, and no accepted time stamp shows that it had not when it signed"
    ),
    "signingCredential.revoked": "The signing certificate was revoked",
    "signingCredential.ocsp.revoked": "The signing certificate was revoked",
    "signingCredential.ocsp.unknown": "Whether the signing certificate was revoked is not known",
    "timeStamp.mismatch": "The time stamp belongs to another signature",
    "timeStamp.malformed": "The time stamp is damaged",
    "timeStamp.outsideValidity": "The time stamp was made when its certificate was not valid",
    "timeStamp.untrusted": "The time stamp's signer is not on the trust list",
    "algorithm.unsupported": "An algorithm is not supported",
    "algorithm.deprecated": "An algorithm is no longer considered safe",
    "general.error": "Checking failed",
}


def in_words(code: str, explanation: str = "") -> str:
    """One sentence for a failure, with its code; an unknown code is explained by the library's own words."""
    code = one_line(code, 100)
    words = _WORDS.get(code) or one_line(explanation, 200).rstrip(".") or "A check failed"
    return f"{words[0].upper()}{words[1:]} ({code})." if code else f"{words}."
