"""`card.json`: everything that is known of a model package, and all that the field kit needs to run it."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# Ends `Measured.data` of what export measures of the abstention band; a bench leaves these figures in place.
BAND_CHECK = "band fitted without them"
TOWER_MAP = "tower.json"  # which tensor of the tower's file each initialiser of the graph is
TOWER_SCALES = "tower-scales.safetensors"  # by what those of the tower's tensors are scaled that become int8


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_none(values: dict[str, Any], *names: str) -> dict[str, Any]:
    # Cards are compared by the hash of their text, those from before there were such fields among them.
    return {key: value for key, value in values.items() if key not in names or value is not None}


class Views(_Strict):
    """What the network is shown of a picture: patches.

    Attributes:
        size: side of the square patches in pixels.
        count: how many patches are scored at most; they lie evenly over the picture.
        resample: "none": native pixels, never resampled; smaller pictures are reflected at the edges.
        minimum_side: pictures with a shorter side below this are always inconclusive.
    """

    kind: Literal["patches"] = "patches"
    size: int = Field(ge=32, le=1024)
    count: int = Field(ge=1, le=64)
    resample: Literal["none"] = "none"
    minimum_side: int = Field(96, ge=1)


class FactsView(_Strict):
    """The network is shown the facts of the file (format, size, metadata) and nothing of the picture.

    Attributes:
        names: what the numbers of the vector are, in order; those of `vestige.images.file_facts.NAMES` of the
            Vestige that made the package. One with another list refuses the package.
        minimum_side: pictures with a shorter side below this are always inconclusive.
    """

    kind: Literal["facts"] = "facts"
    names: list[str] = Field(min_length=1)
    minimum_side: int = Field(1, ge=1)


def _kind(views: Any) -> str:
    # Written out because pydantic's own discriminator demands the key, and older cards may leave it out.
    return str(views.get("kind", "patches") if isinstance(views, dict) else getattr(views, "kind", None))


class Outputs(_Strict):
    """Names of the graph's outputs.

    Attributes:
        logit: [B], positive = generated.
        map: [B, 1, h, w], a logit per cell of an even grid over the view, positive = generated; None: the
            graph has none.
        deviation: [B], at least 0, how little a view resembles what the network was fitted to, whatever the
            logit says; None: the graph does not say.
    """

    logit: str = "logit"
    map: str | None = None
    deviation: str | None = None

    @model_serializer(mode="wrap")
    def _only_if_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(handler(self), "deviation")


class Calibration(_Strict):
    """Pooled logit -> probability: sigmoid(slope * logit + intercept) (Platt, 1999).

    Attributes:
        data: on what it was fitted, in words.
        real, generated: how many pictures of each class.
    """

    kind: Literal["platt"] = "platt"
    slope: float = Field(gt=0)
    intercept: float
    data: str
    real: int = Field(ge=0)
    generated: int = Field(ge=0)


class OperatingPoint(_Strict):
    """The probability from which on a picture is called generated, at a false positive rate.

    The rate is the share of real pictures called generated on the data named in `Calibration.data`.
    """

    fpr: Probability
    threshold: Probability


class Abstention(_Strict):
    """Below `low` likely real, from `high` on likely generated, between them inconclusive.

    Attributes:
        max_spread: with a larger spread of the views (log-odds), always inconclusive.
        max_deviation: with a larger deviation (mean over the views, in the model's own units), always
            inconclusive: the picture is unlike the pictures of both classes that the model was calibrated on.
    """

    low: Probability
    high: Probability
    max_spread: float | None = Field(None, gt=0)
    max_deviation: float | None = Field(None, gt=0)

    @model_serializer(mode="wrap")
    def _only_if_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(handler(self), "max_deviation")

    @model_validator(mode="after")
    def _ordered(self) -> "Abstention":
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not lie above high ({self.high})")
        return self


class Localisation(_Strict):
    """From the map to a verdict on parts: when a picture is called partly generated.

    The cells looked at are those of the maps of the views that decide, as far as they lie on the picture;
    where views overlap, each counts. A picture is partly generated if the share of them that counts as
    generated lies from `minimum_share` to `maximum_share`, and the mean probability of the others is at most
    `maximum_rest`.

    Attributes:
        calibration: of the map's logits, each by itself: cell's logit -> probability that the cell is
            generated. Its `real` and `generated` count cells, many of one picture, so they say less than as
            many pictures would.
        threshold: a cell counts as generated from this probability on.
        minimum_share: a smaller share may be chance.
        maximum_share: with a larger share the question is whether the whole is generated, and the pooled
            logit answers it. So it does where every cell counts.
        maximum_rest: mean probability of the cells that do not count as generated. With a larger one the map
            is patchy rather than of two minds, as over a picture that is generated as a whole. At or above
            `threshold` it limits nothing.
        fpr: share of the real pictures of the calibration that have `minimum_share` of their cells, or more,
            at or above `threshold`.
    """

    calibration: Calibration
    threshold: Probability
    minimum_share: float = Field(gt=0, lt=1)
    maximum_share: float = Field(gt=0, le=1)
    maximum_rest: Probability
    fpr: Probability

    @model_validator(mode="after")
    def _ordered(self) -> "Localisation":
        if self.minimum_share > self.maximum_share:
            raise ValueError(
                f"minimum_share ({self.minimum_share}) must not lie above maximum_share "
                f"({self.maximum_share})"
            )
        return self


class TrainingSource(_Strict):
    """One source of training pictures."""

    name: str
    label: Literal[0, 1]
    count: int
    licence: str


class Tower(_Strict):
    """Frozen weights that the package does not contain: a file at the Hugging Face hub, or at none.

    Attributes:
        hub: OWNER/NAME of the repository there; None: no hub has the file in these bytes.
        origin: where no hub has it, what the file is and where it comes from: one sentence on one line.
        revision: branch, tag or commit of the repository; a card without a hub does not say.
        file: path of the file in it; as `revision`.
        sha256: of the file; nothing else is ever loaded.
        bytes: its size.
    """

    hub: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
    # Is shown on terminals, so it must not bring escapes or lines of its own.
    origin: str | None = Field(None, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\w[^\x00-\x1f\x7f-\x9f]*$")
    revision: str = Field("main", pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$")
    file: str = Field("model.safetensors", pattern=r"^([A-Za-z0-9][\w.-]*/)*[A-Za-z0-9][\w.-]*\.safetensors$")
    sha256: Sha256
    bytes: int = Field(ge=1)

    @model_serializer(mode="wrap")
    def _only_what_it_has(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = _without_none(handler(self), "origin")
        # Without a hub, their defaults would name a file there.
        left_out = ("revision", "file") if self.hub is None else ()
        return {key: value for key, value in values.items() if key not in left_out}

    @model_validator(mode="after")
    def _can_be_found(self) -> "Tower":
        if self.hub is None and self.origin is None:
            raise ValueError("hub is null, so origin must say what the file is and where it comes from")
        if self.hub is not None and self.origin is not None:
            raise ValueError(
                "origin is for a file that is at no hub, and hub is given: leave one of them out"
            )
        if self.hub is None and self.model_fields_set & {"revision", "file"}:
            raise ValueError("revision and file are of the hub, and hub is null: leave them out")
        return self


class Quantisation(_Strict):
    """Large matrices of the graph that are multiplied in 8 bits instead of float32.

    Attributes:
        levels: the largest weight of a column is this many steps, the smallest as many below zero. With 63 no
            processor saturates; with 127 x86 processors without VNNI may, and give other scores.
        pictures: on how many pictures the ranges of the activations were found; they are fixed, so the score
            of a view does not depend on its batch.
        kept: large layers that stay in float32.
        error: root mean square difference of the logits from those in float32, over the same pictures, in
            standard deviations of the latter.
    """

    weights: Literal["int8"] = "int8"
    levels: int = Field(ge=1, le=127)
    activations: Literal["uint8"] = "uint8"
    pictures: int = Field(ge=1)
    kept: list[str] = []
    error: float = Field(ge=0, allow_inf_nan=False)

    def describe(self) -> str:
        """In words, on one line."""
        layers = f"{len(self.kept)} large {'layer' if len(self.kept) == 1 else 'layers'}"
        kept = f", {layers} kept in float32" if self.kept else ""
        return (
            f"{self.weights} weights from -{self.levels} to {self.levels}, {self.activations} activations "
            f"with ranges from {self.pictures} pictures{kept}; logits differ from float32 by "
            f"{self.error:.2g} of their standard deviation"
        )


class Training(_Strict):
    """How the model was made."""

    recipe: str
    seed: int
    data: str
    manifest_sha256: Sha256
    starting_weights: list[str]
    sources: list[TrainingSource]


class Measured(_Strict):
    """One measured figure with its 95 % interval and the counts behind it."""

    data: str
    metric: str
    value: float
    low: float
    high: float
    real: int
    generated: int


class HeldBack(_Strict):
    """One figure measured in training on pictures that were held back, or on others.

    Attributes:
        metric: what it is, with its unit.
        value: the mean over the pictures.
        low, high: nine tenths of the pictures lie between them.
        pictures, sources: how many were measured on, and of how many sources they are.
    """

    data: str
    metric: str
    value: float
    low: float
    high: float
    pictures: int = Field(ge=1)
    sources: int = Field(ge=1)


class PackageCard(_Strict):
    """What every card says. Unknown keys are refused: a typing error must not pass for a setting.

    Attributes:
        stages: names of the ONNX files, in the order in which they run.
        files: sha256 of every file of the package but the card.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str
    method: str
    summary: str
    stages: list[str] = Field(min_length=1, max_length=1)
    training: Training
    failure_modes: list[str]
    licence: str
    minimum_vestige: str
    files: dict[str, Sha256]

    @model_validator(mode="after")
    def _stages_hashed(self) -> "PackageCard":
        for stage in self.stages:
            if stage not in self.files:
                raise ValueError(f"stage {stage} has no sha256 in files")
        return self

    @property
    def title(self) -> str:
        """Name and version as reports show them."""
        return f"{self.name} {self.version}"


class ModelCard(PackageCard):
    """The card of a detector: pictures or facts of files in, logits and verdicts out.

    Attributes:
        tower: the frozen weights that the package does without; None: all of them are in the graph.
        quantisation: what is multiplied in 8 bits; None: all is in float32.
        localisation: how the map becomes a verdict on parts; None: its map, if it has one, is only shown.
    """

    kind: Literal["detector"] = "detector"
    views: Annotated[
        Annotated[Views, Tag("patches")] | Annotated[FactsView, Tag("facts")],
        Discriminator(
            _kind,
            custom_error_type="kind_of_views",
            custom_error_message="kind must be 'patches' or 'facts'; a newer Vestige may know others",
        ),
    ]
    outputs: Outputs = Outputs()
    calibration: Calibration
    operating_points: list[OperatingPoint]
    abstention: Abstention
    results: list[Measured] = []
    tower: Tower | None = None
    quantisation: Quantisation | None = None
    localisation: Localisation | None = None

    @model_serializer(mode="wrap")
    def _only_if_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_none(handler(self), "tower", "quantisation", "localisation")

    @model_validator(mode="after")
    def _tower_mapped(self) -> "ModelCard":
        if (self.tower is not None) != (TOWER_MAP in self.files):
            raise ValueError(f"tower and {TOWER_MAP} in files belong together; one of them is missing")
        if self.tower is None and TOWER_SCALES in self.files:
            raise ValueError(f"{TOWER_SCALES} in files is of a tower, and the card names none")
        return self

    @model_validator(mode="after")
    def _facts_have_no_places(self) -> "ModelCard":
        if isinstance(self.views, FactsView) and self.outputs.map is not None:
            raise ValueError("a model that looks at the facts of the file cannot have a map output")
        return self

    @model_validator(mode="after")
    def _parts_need_a_map(self) -> "ModelCard":
        if self.localisation is not None and self.outputs.map is None:
            raise ValueError(
                "localisation is given but outputs.map is null: name the graph's output or remove "
                "localisation"
            )
        return self

    @model_validator(mode="after")
    def _limit_can_be_checked(self) -> "ModelCard":
        if self.abstention.max_deviation is not None and self.outputs.deviation is None:
            raise ValueError(
                f"abstention.max_deviation is {self.abstention.max_deviation:g} but outputs.deviation is "
                "null: name the graph's output or remove the limit"
            )
        return self


class ExtractorCard(PackageCard):
    """The card of an extractor: pictures in, signatures of the same size out; it gives no verdict.

    Its graph takes `images`, float32 [B, 3, H, W] in [0, 1], and gives `signature`, float32 [B, 3, H, W], the
    predicted residual in units of pictures in [-1, 1]; B, H and W are free. An "imprint" has no units of its
    own: it is scaled so that its root mean square over pictures of its training is 2 grey levels.

    Attributes:
        target: what it learned to predict: "residual" is the trace of a simulated generator, picture minus
            reconstruction; "noise" is Gaussian noise that was added (a denoiser, to compare with); "imprint"
            is nothing given: it was trained end to end with a detector, and says what this one looks at.
        input: what it was shown in training: the reconstruction or the original.
        reach: how many pixels away a pixel still acts on a value through the convolutions; normalisation,
            which takes in all that is shown, not counted.
        results: figures on pictures that were held back; empty where none were measured of the extractor
            alone.
    """

    kind: Literal["extractor"]
    target: Literal["residual", "noise", "imprint"]
    input: Literal["reconstructed", "original"]
    reach: int = Field(ge=0, le=128)
    results: list[HeldBack] = []
