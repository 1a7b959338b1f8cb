"""What a scan says. These models and their JSON schema are public API: every face renders the same object.

`SCHEMA_VERSION` rises when what is there changes its name or meaning. Keys and verdicts may be added without
that: readers should pass over keys that they do not know, and take a verdict that they do not know for one
that a person has to look at, not for "likely_real".
"""

from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(str, Enum):
    """What the pixels suggest. `INCONCLUSIVE` is an answer: the evidence does not allow another.

    `PARTLY_GENERATED` comes only from models that say where a picture is generated.
    """

    LIKELY_GENERATED = "likely_generated"
    PARTLY_GENERATED = "likely_partly_generated"
    LIKELY_REAL = "likely_real"
    INCONCLUSIVE = "inconclusive"

    @property
    def words(self) -> str:
        """The verdict as people say it."""
        return self.value.replace("_", " ")

    @property
    def says_generated(self) -> bool:
        """Whether it calls the picture generated, in whole or in part."""
        return self in (Verdict.LIKELY_GENERATED, Verdict.PARTLY_GENERATED)


class JpegFacts(_Model):
    """How a JPEG was encoded.

    Attributes:
        quality: 1-100, the IJG quality whose tables come nearest to the file's, None if no table is near.
        subsampling: "4:4:4", "4:2:2", "4:2:0", another ratio, or "grey".
        quantisation: tables in the order of the file, each 64 integers in zigzag-free (row) order.
    """

    quality: int | None
    subsampling: str
    progressive: bool
    quantisation: list[list[int]]


class Facts(_Model):
    """Facts of the file, measured and not claimed.

    Attributes:
        format: "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", or "array" for pixels in memory.
        width, height: pixels after EXIF orientation.
        mode: colour mode as stored ("RGB", "CMYK", "P", "I;16", ...).
        frames: pictures in the file; only the first one is judged.
        bytes: length of the file; None for pixels in memory.
        conversions: what was done to reach 8-bit sRGB, in order, in words.
    """

    format: str
    width: int
    height: int
    mode: str
    frames: int = 1
    bytes: int | None = None
    sha256: str | None = None
    has_exif: bool = False
    has_xmp: bool = False
    has_iptc: bool = False
    has_icc: bool = False
    has_c2pa: bool = False
    jpeg: JpegFacts | None = None
    conversions: list[str] = Field(default_factory=list)


class Claim(_Model):
    """Something the file says of itself. It never changes the pixel score.

    Attributes:
        origin: where it stands: "EXIF", "XMP", "IPTC", "PNG text", "comment", "C2PA", "A visible mark".
        kind: what it is about.
        statement: one sentence for people.
        value: the text as found (may be long: a whole prompt).
        points_to: what it would mean if it were true; None where it says nothing of the picture's making.
        trust: how far it can be trusted. Plain metadata are "unsigned": anyone can write or remove them.
    """

    origin: str
    kind: Literal["camera", "software", "generator", "prompt", "source_type", "time", "author", "credential"]
    statement: str
    value: str = ""
    points_to: Literal["generated", "camera", "edited"] | None = None
    trust: Literal["unsigned", "signed", "signed_and_trusted"] = "unsigned"


class CredentialAction(_Model):
    """One step of the picture's making as its manifest lists it; texts are empty where it says nothing.

    Attributes:
        action: name of the step, such as "c2pa.created" or "c2pa.color_adjustments".
        software: the program that did it.
        source_type: digital source type of what came out of it, as found (a URI).
        when: time as found.
        description: in the signer's words.
    """

    action: str
    software: str = ""
    source_type: str = ""
    when: str = ""
    description: str = ""


class CredentialIngredient(_Model):
    """A picture that went into this one, as the manifest lists it.

    Attributes:
        relationship: "parentOf" (this picture was made from it), "componentOf" (it was put in) or "inputTo"
            (a process was given it), as found.
        state: of its own credentials: as for `Credentials`, "unsigned" if it has none, "unchecked" if they
            were not checked.
        claim_generator: the program that wrote its credentials.
        source_types: digital source types that its credentials declare, those of its own parents included.
    """

    title: str = ""
    format: str = ""
    relationship: str = ""
    state: Literal["trusted", "valid", "invalid", "unsigned", "unchecked"] = "unsigned"
    claim_generator: str = ""
    source_types: list[str] = Field(default_factory=list)


class Credentials(_Model):
    """What a C2PA manifest store says, and what checking it gave. It never changes the pixel score.

    Texts are cut to a bounded length, and long lists to their first entries (`problems` then says so).

    Attributes:
        state: "trusted": the signature is intact, it fits the picture, and the signer is on the trust list;
            "valid": the same, but the signer is not on the trust list, or there is none;
            "invalid": signature, statements or picture were changed, or the certificate does not hold;
            "unreadable": they could not be read.
        problems: what is wrong, in words with the code of the C2PA specification; not that a signer is not on
            the trust list, which the state says.
        signer: common name in the signing certificate. Anyone can make a certificate with any name: a name
            means something only where the state is "trusted".
        issuer: organisation in the signing certificate.
        signed_at: time of a time stamp on the signature, None without one.
        claim_generator: the program that wrote the manifest.
        title: name of the picture when it was signed.
        source_types: digital source types that the picture's own manifest declares, as found (URIs).
        thumbnail: preview kept in the manifest, decoded and encoded anew, as a data URI.
        remote: address of a manifest that lies elsewhere; it is never fetched.
        trust_list: the list that signers were looked up in, "none" without one.
    """

    state: Literal["trusted", "valid", "invalid", "unreadable"]
    problems: list[str] = Field(default_factory=list)
    signer: str = ""
    issuer: str = ""
    signed_at: str | None = None
    claim_generator: str = ""
    title: str = ""
    actions: list[CredentialAction] = Field(default_factory=list)
    ingredients: list[CredentialIngredient] = Field(default_factory=list)
    source_types: list[str] = Field(default_factory=list)
    thumbnail: str | None = None
    remote: str | None = None
    trust_list: str = "none"


class EvidenceLine(_Model):
    """One line of evidence, to stand beside the others.

    Attributes:
        origin: "pixels", "file" (a model that looks at the file only), or the origin of claims.
        says: sentences for people.
        points_to: the direction; "edited" also for pixels that look generated in part; None: neither way.
        trust: "measured" for what Vestige saw itself, otherwise as for `Claim`.
    """

    origin: str
    says: str
    points_to: Literal["generated", "camera", "edited", "real"] | None = None
    trust: Literal["measured", "unsigned", "signed", "signed_and_trusted"]


class Agreement(_Model):
    """Whether pixels and claims point the same way.

    Attributes:
        state: "disagree" also if claims contradict each other; "only_pixels" or "only_claims" if the other
            side does not say whether the picture was generated; "nothing" if neither does.
        sentence: the same in words, and what it is worth.
    """

    state: Literal["agree", "disagree", "only_pixels", "only_claims", "nothing"]
    sentence: str


class ViewScore(_Model):
    """One rectangle of the picture that the model looked at, in pixels of the upright picture."""

    x: int
    y: int
    width: int
    height: int
    logit: float


class HeatMap(_Model):
    """Where the evidence lies: the calibrated probability for each cell of a grid over the whole picture.

    Attributes:
        probabilities: rows of cells from the top left, each in [0, 1], equally sized cells.
        origin: "patches" if made of the scores of whole patches, "model" if made of the maps that the model
            itself gives (the package has a map output).
    """

    probabilities: list[list[float]]
    origin: Literal["patches", "model"]


class Evidence(_Model):
    """What the pixels say, and how the number came about.

    Attributes:
        logit: pooled over views; positive leans to generated.
        probability: calibrated, in [0, 1].
        spread: how far the views disagree: standard deviation of their calibrated log-odds (the logit times
            the slope of the calibration); 0 with one view.
        thresholds: (low, high) probability; between them the verdict is inconclusive.
        reasons: sentences that explain the verdict (disagreeing views, small picture, ...).
        looked_at: "pixels"; "file" for a model that knows format, size and metadata and not the picture.
        deviation: how little the picture resembles what the model was fitted to, whatever the probability
            says: mean over views, at least 0, in the model's own units; None: the model does not say.
        generated_share: share of the area looked at (cells of the maps of `views`) that resembles generated
            pictures, in [0, 1]; None: the model does not say.
    """

    logit: float
    probability: float
    spread: float
    thresholds: tuple[float, float]
    views: list[ViewScore]
    heat_map: HeatMap | None = None
    reasons: list[str] = Field(default_factory=list)
    looked_at: Literal["pixels", "file"] = "pixels"
    deviation: float | None = None
    generated_share: float | None = None


class ScanError(_Model):
    """Why a picture could not be judged. `code` is one of `vestige.errors.ImageErrorCode`."""

    code: str
    reason: str


ROW_FIELDS = (
    "path",
    "verdict",
    "probability",
    "logit",
    "spread",
    "model",
    "width",
    "height",
    "format",
    "claims",
    "sha256",
    "error_code",
    "error",
    "deviation",
    "generated_share",
)


class ImageReport(_Model):
    """All that is said about one picture: pixel evidence, facts and claims side by side, or one error.

    Attributes:
        credentials: content credentials (C2PA); None if the file neither holds nor names any.
        lines: the evidence in lines: pixels first, then what is signed, then what is not.
        agreement: whether the lines agree; None if the picture could not be read.
    """

    schema_version: int = SCHEMA_VERSION
    path: str
    verdict: Verdict | None = None
    evidence: Evidence | None = None
    claims: list[Claim] = Field(default_factory=list)
    facts: Facts | None = None
    model: str
    versions: dict[str, str] = Field(default_factory=dict)
    error: ScanError | None = None
    credentials: Credentials | None = None
    lines: list[EvidenceLine] = Field(default_factory=list)
    agreement: Agreement | None = None

    @property
    def probability(self) -> float | None:
        """Calibrated probability that the picture is generated, in [0, 1]; None if it could not be read."""
        return self.evidence.probability if self.evidence else None

    @property
    def logit(self) -> float | None:
        """Pooled logit, positive = generated; None if the picture could not be read."""
        return self.evidence.logit if self.evidence else None

    @property
    def spread(self) -> float | None:
        """How far the views disagree, in log-odds; None if the picture could not be read."""
        return self.evidence.spread if self.evidence else None

    @property
    def deviation(self) -> float | None:
        """How little the picture resembles what the model was fitted to; None if the model does not say."""
        return self.evidence.deviation if self.evidence else None

    @property
    def generated_share(self) -> float | None:
        """Share of the area looked at that resembles generated pictures; None if the model does not say."""
        return self.evidence.generated_share if self.evidence else None

    def row(self) -> dict[str, Any]:
        """The report as one flat row with the keys of `ROW_FIELDS`; what is not known is None."""
        return {
            "path": self.path,
            "verdict": self.verdict.value if self.verdict else None,
            "probability": self.probability,
            "logit": self.logit,
            "spread": self.spread,
            "model": self.model,
            "width": self.facts.width if self.facts else None,
            "height": self.facts.height if self.facts else None,
            "format": self.facts.format if self.facts else None,
            "claims": "; ".join(claim.statement for claim in self.claims) or None,
            "sha256": self.facts.sha256 if self.facts else None,
            "error_code": self.error.code if self.error else None,
            "error": self.error.reason if self.error else None,
            "deviation": self.deviation,
            "generated_share": self.generated_share,
        }
