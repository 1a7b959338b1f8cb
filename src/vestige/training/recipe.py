"""A recipe: everything that decides what a trained model becomes, read from YAML."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vestige.data.augment import ChainConfig
from vestige.data.manifest import split_words
from vestige.data.manipulations import ManipulationSet
from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.base import Method
from vestige.methods.inpainters import InpainterOptions
from vestige.methods.nirnet.imprints import ImprintOptions
from vestige.methods.reconstructors import ReconstructorOptions
from vestige.methods.stage import Stage, StageOptions
from vestige.training.package_recipe import CardSection, PackageSection

UNNAMED = "a tiny autoencoder that was not named"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reconstruction(_Section):
    """Real pictures passed through a reconstructor, which count as generated (GenSign, section 3.4).

    Attributes:
        per_group: at most so many real pictures of each source are reconstructed.
        share: their share of the generated views in training.
        autoencoder: which one, whose, under what licence: a text for the card. The network itself comes from
            the folder of starting weights.
        by: reconstructors in the place of that autoencoder, each a generator of its own. A picture passes
            one of them, drawn by its name and the recipe's seed.
    """

    per_group: int = Field(ge=1)
    share: float = Field(gt=0, lt=1)
    autoencoder: str = UNNAMED
    by: tuple[ReconstructorOptions, ...] = ()

    @model_validator(mode="after")
    def _said_once(self) -> "Reconstruction":
        if self.by and self.autoencoder != UNNAMED:
            raise ValueError(
                "autoencoder is the card's text for an autoencoder that is not listed; leave it out beside "
                "by, whose reconstructors say themselves where they come from"
            )
        return self


class SelfAugmentation(_Section):
    """Pictures passed through DAIR, which count as generated (GenSign, section 3.4).

    Attributes:
        probability: p_aug, how likely a picture of either class is replaced by its reconstruction.
        per_group: at most so many pictures of each group have a reconstruction to be replaced by; None: all.
        levels: only structures with at most so many stages are drawn; None: as DAIR was trained.
    """

    probability: float = Field(0.2, gt=0, lt=1)
    per_group: int | None = Field(None, ge=1)
    levels: int | None = Field(None, ge=1, le=3)


class Imprinting(ImprintOptions):
    """Real pictures with an imprint of NIRNet's simulator, which count as generated (Fig. 3 b of its paper).

    Options of the imprint as in `ImprintOptions`.

    Attributes:
        share: their share of the generated views in training.
        per_group: at most so many real pictures of each source get imprints; None: all.
        strength: weaker than fitted: what a reconstructor loses of a picture is part of the fit, and no
            generator leaves that.
    """

    strength: tuple[float, float] = (0.05, 0.3)
    share: float = Field(0.3, gt=0, lt=1)
    per_group: int | None = Field(None, ge=1)


class Manipulating(ManipulationSet):
    """Manipulated training pictures (GAMMA), made of real and of generated ones, as `ManipulationSet` says.

    Whether a view of one counts as generated is decided by what it shows.

    Attributes:
        share: their share of each class's views in training.
        inpainters: networks that put something in the place of a region or reconstruct the picture.
    """

    share: float = Field(0.4, gt=0, lt=1)
    inpainters: tuple[InpainterOptions, ...] = ()


class DataSection(_Section):
    """What the network is shown in training.

    Attributes:
        split: rows of the manifest that are used: of one split, or of several.
        patch: side of the patches in pixels, a multiple of 32; smaller views keep the largest multiple.
        per_group: at most so many pictures of each group, drawn by the recipe's seed; None: all.
        views: random passages through the chain for each picture.
        chain: the random chain, the same for both classes.
        reconstruction, self_augmentation, imprinting, manipulation: which further pictures are made of these;
            one at most.
        precision: of the frozen part while its features are computed; "bfloat16" is twice as fast where the
            processor has it, and rounds to three digits. Exported networks always compute in float32.
    """

    split: str | tuple[str, ...] = "train"
    patch: int = Field(224, ge=64, multiple_of=32)
    per_group: int | None = Field(None, ge=1)
    views: int = Field(4, ge=1)
    chain: ChainConfig = ChainConfig()
    reconstruction: Reconstruction | None = None
    self_augmentation: SelfAugmentation | None = None
    imprinting: Imprinting | None = None
    manipulation: Manipulating | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    @field_validator("split")
    @classmethod
    def _named_once(cls, split: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not split:
            raise ValueError("name at least one split")
        if not isinstance(split, str) and len(set(split)) < len(split):
            raise ValueError(f"names a split twice: {', '.join(split)}")
        return split

    @property
    def split_record(self) -> str | list[str]:
        """`split` as records have it, which are JSON."""
        return self.split if isinstance(self.split, str) else list(self.split)

    def pictures(self, manifest: str) -> str:
        """Which pictures of a manifest these are: "train split of M", "splits train and dev of M"."""
        if isinstance(self.split, str):
            return f"{self.split} split of {manifest}"
        return f"{split_words(self.split)} of {manifest}"

    @model_validator(mode="after")
    def _one_source(self) -> "DataSection":
        sections = (self.reconstruction, self.self_augmentation, self.imprinting, self.manipulation)
        if sum(section is not None for section in sections) > 1:
            raise ValueError("choose one of reconstruction, self_augmentation, imprinting and manipulation")
        return self


class AlternatingSection(_Section):
    """Of the alternating solver: so often the attribution module, then the classifier, then from the start.

    Attributes:
        rounds: alternations.
        attribution_steps: of the attribution module in a round, the classifier frozen.
        classifier_steps: of the classifier in a round, the attribution module frozen.
        attribution_learning_rate, classifier_learning_rate: of Adam, constant; the paper's.
        classifier_weight_decay: of the classifier's weights, decoupled; 0: plain Adam, as in the paper.
        rounds_per_checkpoint: what a kill costs at most.
    """

    rounds: int = Field(100, ge=1)
    attribution_steps: int = Field(10, ge=0)
    classifier_steps: int = Field(10, ge=1)
    attribution_learning_rate: float = Field(2e-4, gt=0)
    classifier_learning_rate: float = Field(2e-4, gt=0)
    classifier_weight_decay: float = Field(0.0, ge=0)
    rounds_per_checkpoint: int = Field(50, ge=1)


class DiscriminantSection(_Section):
    """Of the discriminant solver (`vestige.training.discriminant`).

    Attributes:
        between: what scatter between the sources of a class costs, in units of scatter within a source.
        shrinkage: how much of a sphere is added to the scatter: 1 is as much as the scatter itself.
    """

    between: float = Field(10.0, ge=0)
    shrinkage: float = Field(0.3, gt=0)


class FitSection(_Section):
    """How the head is fitted.

    Attributes:
        seed: of the initial weights of the trained part and of the batches; None: the recipe's. Fits that
            differ in it alone see the same views.
        inverse_penalty: of the logistic solver (scikit-learn's C).
        probe_first: start the gradient solver from a logistic regression on the untuned network, without
            reconstructions: tuning then bends pretrained features less (Kumar et al., ICLR 2022).
        steps, batch: of the gradient solver; a checkpoint every `steps_per_epoch` steps.
        learning_rate, fresh_learning_rate: peak rates of pretrained and of new parameters.
        label_smoothing: targets become s/2 and 1 - s/2.
        precision: of the gradient solver, Lightning's word for it.
        accumulate: batches whose gradients are averaged for one step of the gradient solver.
        devices: processes, each on a device of its own, that the gradient and the alternating solver share
            their work among (`vestige.training.parallel`). A run is the same, up to rounding, whatever the
            number, as long as `devices` times `accumulate` is.
        averaging: weight of the newest step in the running average of the weights that is kept.
        alternating: of the alternating solver, which takes `batch` from here and nothing else.
        discriminant: of the discriminant solver, which takes nothing else from here.
    """

    seed: int | None = Field(None, ge=0)
    inverse_penalty: float = Field(0.01, gt=0)
    probe_first: bool = False
    steps: int = Field(1000, ge=1)
    steps_per_epoch: int = Field(100, ge=1)
    batch: int = Field(32, ge=2)
    learning_rate: float = Field(3e-4, gt=0)
    fresh_learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    averaging: float = Field(0.01, gt=0, le=1)
    accumulate: int = Field(1, ge=1)
    devices: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    alternating: AlternatingSection = AlternatingSection()
    discriminant: DiscriminantSection = DiscriminantSection()


class BandSection(_Section):
    """What the abstention band promises of pictures that get a verdict (`vestige.training.band`).

    A false accusation weighs more than a miss, so fewer of them are allowed.

    Attributes:
        accused: of the real pictures with a verdict, the largest share that is called generated.
        missed: of the generated pictures with a verdict, the largest share that is called real.
        confidence: None: the shares hold for the next picture on average; else their one-sided upper bounds
            of this confidence must keep to them (Clopper and Pearson, 1934), which asks for more pictures.
    """

    accused: float = Field(0.05, gt=0, lt=1)
    missed: float = Field(0.10, gt=0, lt=1)
    confidence: float | None = Field(None, ge=0.5, lt=1)


class CalibrationSection(_Section):
    """Groups are dealt into `folds`; for `used` of them a model is fitted without the fold and scores it.

    Attributes:
        band: what the abstention band promises; None: it lies between the operating point at 5 % and where
            10 % of all generated pictures lie.
    """

    folds: int = Field(5, ge=2)
    used: int = Field(5, ge=1)
    band: BandSection | None = None

    @model_validator(mode="after")
    def _enough(self) -> "CalibrationSection":
        if self.used > self.folds:
            raise ValueError(f"used ({self.used}) must not be more than folds ({self.folds})")
        return self


class Recipe(_Section):
    """One YAML file in `configs/`.

    Attributes:
        model: options of the method, after its own schema.
        stages: options of the stages before the detector, each after its own schema.
        extractor_package: for `vestige export --stage extractor`, which packages that stage by itself.
    """

    method: str
    seed: int = Field(0, ge=0)
    model: dict[str, Any] = Field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    data: DataSection = DataSection()
    fit: FitSection = FitSection()
    calibration: CalibrationSection = CalibrationSection()
    package: PackageSection
    extractor_package: CardSection | None = None

    @property
    def fit_seed(self) -> int:
        """The seed of initial weights and batches."""
        return self.seed if self.fit.seed is None else self.fit.seed

    def parts(self) -> tuple[Method, BaseModel]:
        """The method and its validated `model` section."""
        method = registry.get(self.method)
        return method, method.config.model_validate(self.model)

    def from_hub(self) -> bool:
        """Whether all starting weights can be had from the Hugging Face hub, without a folder of them."""
        method, config = self.parts()
        return method.from_hub is not None and method.from_hub(config)

    def never_held_out(self) -> tuple[str, ...]:
        """Groups that every fit must see; none of their pictures serves for the calibration."""
        method, config = self.parts()
        return () if method.never_held_out is None else method.never_held_out(config)

    def stage(self, name: str) -> tuple[Stage, StageOptions]:
        """A stage of the method and its validated section.

        Raises:
            ConfigError: the method has no such stage.
        """
        known = {stage.name: stage for stage in registry.get(self.method).stages}
        if name not in known:
            listed = ", ".join(known) or "none besides the detector"
            raise ConfigError(f"{self.method} has no stage {name!r}; known are {listed}")
        return known[name], known[name].config.model_validate(self.stages.get(name, {}))


def read_recipe(path: str | Path) -> Recipe:
    """Read and validate a recipe.

    Raises:
        ConfigError: unreadable or not after the schema; one message lists all that is wrong.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    return parse_recipe(values, str(path))


def parse_recipe(values: Any, where: str) -> Recipe:
    """Validate what a YAML file holds.

    Args:
        where: it comes from, for messages.

    Raises:
        ConfigError: not after the schema; one message lists all that is wrong.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: a recipe is a mapping with at least the keys method and package")
    section: tuple[str, ...] = ()
    try:
        recipe = Recipe.model_validate(values)
        section = ("model",)
        method, _ = recipe.parts()
        given = {
            "imprinting": recipe.data.imprinting,
            "manipulation": recipe.data.manipulation,
            "reconstruction.by": recipe.data.reconstruction and recipe.data.reconstruction.by,
        }
        for name, wanted in given.items():
            if method.looks_at == "facts" and wanted:
                raise ConfigError(
                    f"data.{name} changes pixels, and {method.name} looks at facts of the file alone; leave "
                    "it out"
                )
        if method.looks_at == "facts" and recipe.package.quantisation is not None:
            raise ConfigError(
                f"package.quantisation is for networks that look at pixels, and {method.name} looks at facts "
                "of the file alone; leave the section out"
            )
        for name in recipe.stages:
            section = ("stages", name)
            recipe.stage(name)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, (*section, *item['loc'])))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{where}: {'; '.join(wrong)}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return recipe
