"""Pictures with content credentials, signed here and now by certificates that are made here and now."""

import datetime as dt
import io
from functools import cache

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from PIL import Image

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
AI, CAMERA = IPTC + "trainedAlgorithmicMedia", IPTC + "digitalCapture"
MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "TIFF": "image/tiff",
    "HEIF": "image/heif",
}
CREATED_BY_AI = {
    "action": "c2pa.created",
    "digitalSourceType": AI,
    "softwareAgent": {"name": "Paintbot", "version": "3"},
    "when": "2026-01-02T03:04:05Z",
}
CREATED_BY_CAMERA = {"action": "c2pa.created", "digitalSourceType": CAMERA}


class Authority:
    """A root and one signer below it.

    Args:
        organisation: of the root.
        signer: common name of the signer, whose organisation is `company`.
        lifetime: of the signer's certificate, from now on.
        ocsp: address that tells whether the certificate was revoked.
    """

    def __init__(
        self, organisation="Test Root", signer="Sig Ner", company="Signers Ltd", lifetime=None, ocsp=None
    ):
        now = dt.datetime.now(dt.timezone.utc)
        root_key = ec.generate_private_key(ec.SECP256R1())
        root_name = _name(organisation, f"{organisation} CA")
        self.root = (
            _builder(root_name, root_name, root_key, now + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(True, None), True)
            .add_extension(_usage(signs_certificates=True), True)
            .sign(root_key, hashes.SHA256())
        )
        self._key = ec.generate_private_key(ec.SECP256R1())
        until = now + (lifetime or dt.timedelta(days=30))
        leaf = (
            _builder(_name(company, signer), root_name, self._key, until)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(_usage(), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        )
        if ocsp:
            where = x509.UniformResourceIdentifier(ocsp)
            access = [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)]
            leaf = leaf.add_extension(x509.AuthorityInformationAccess(access), False)
        self.leaf = leaf.sign(root_key, hashes.SHA256())
        self.anchors = pem(self.root)

    def signer(self):
        def sign(data):
            r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")

        return c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, pem(self.leaf) + self.anchors, None)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(organisation, common):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(subject, issuer, key, until):
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1))
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _usage(signs_certificates=False):
    return x509.KeyUsage(
        not signs_certificates,
        False,
        False,
        False,
        False,
        signs_certificates,
        signs_certificates,
        False,
        False,
    )


@cache
def authority():
    return Authority()


def plain(kind="PNG", seed=0, size=(96, 64)):
    """A file without credentials."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def manifest(*actions, title="picture.png", **rest):
    """A manifest definition; `assertions` are added to the list of steps."""
    steps = [{"label": "c2pa.actions.v2", "data": {"actions": list(actions)}}] if actions else []
    return {
        "claim_generator_info": [{"name": "Vestige tests", "version": "1"}],
        "title": title,
        **rest,
        "assertions": [*steps, *rest.get("assertions", [])],
    }


def signed(definition, kind="PNG", by=None, ingredients=(), remote=None, embed=True, seed=0, data=None):
    """A signed file.

    Args:
        definition: see `manifest`.
        ingredients: (JSON, kind, bytes) each.
        remote: address of a manifest elsewhere, written into XMP.
        embed: whether the manifest is in the file.
        data: the file to sign; default: noise.
    """
    # Made small: the library's own thumbnail of noise would be most of the file.
    settings = {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"long_edge": 48}}}
    builder = c2pa.Builder(definition, context=c2pa.Context.from_dict(settings))
    if remote:
        builder.set_remote_url(remote)
    if not embed:
        builder.set_no_embed()
    for description, its_kind, its_data in ingredients:
        builder.add_ingredient(description, MIME[its_kind], io.BytesIO(its_data))
    out = io.BytesIO()
    builder.sign((by or authority()).signer(), MIME[kind], io.BytesIO(data or plain(kind, seed)), out)
    return out.getvalue()


def edited_from(original, *steps, kind="JPEG", by=None, relationship="parentOf", title="original"):
    """A signed picture that was made from another one."""
    first = {"parentOf": "c2pa.opened", "componentOf": "c2pa.placed"}[relationship]
    opened = {"action": first, "parameters": {"ingredientIds": ["it"]}}
    description = {"title": title, "relationship": relationship, "label": "it"}
    return signed(manifest(opened, *steps), kind, by, [(description, "PNG", original)], seed=1)
