"""Which models a server has, and which of them can run."""

from collections.abc import Iterator
from dataclasses import dataclass

from vestige.apps.server.answers import ModelEntry
from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.settings import ServerSettings
from vestige.detector import Detector
from vestige.errors import ConfigError
from vestige.inference.card import ModelCard
from vestige.inference.package import (
    DEFAULT_EXTRACTOR,
    find_card,
    load_extractor_package,
    shipped_extractors,
)
from vestige.inference.signature import ExtractorSession
from vestige.inference.tower import by_hand, locate


@dataclass(frozen=True)
class Served:
    """One model of the server.

    Attributes:
        detector: None: its tower is not on this computer.
        missing: what to do about that, one sentence.
    """

    card: ModelCard
    detector: Detector | None
    missing: str = ""


class Models:
    """The models of a server by name; the first is the default.

    Raises:
        ModelPackageError: a package is not there or is damaged, or the default model lacks its tower.
        ConfigError: two have the same name.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._served: dict[str, Served] = {}
        for number, name in enumerate(settings.models):
            served = _load(name, settings, required=number == 0)
            if served.card.name in self._served:
                raise ConfigError(
                    f"--model {name}: there is a model {served.card.name!r} already, name each once"
                )
            self._served[served.card.name] = served
        self.extractor = _load_extractor(settings)

    @property
    def default(self) -> str:
        """Name of the model that is used where none is asked for."""
        return next(iter(self._served))

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def find(self, name: str) -> tuple[str, Detector]:
        """Name and detector of the model that a request asks for; "" is the default.

        Raises:
            RefusalError: there is none of that name, or it cannot run.
        """
        served = self._served.get(name or self.default)
        if served is None:
            raise RefusalError(
                "unknown_model", f"This server has no such model; it has {', '.join(self._served)}."
            )
        if served.detector is None:
            raise RefusalError("model_not_ready", served.missing)
        return served.card.name, served.detector

    def warnings(self) -> list[str]:
        """What the person who starts the server should know of models that cannot run."""
        return [served.missing for served in self._served.values() if served.missing]

    def entries(self) -> list[ModelEntry]:
        """What `/v1/models` says."""
        return [_entry(served, name == self.default) for name, served in self._served.items()]


def _load(name: str, settings: ServerSettings, required: bool) -> Served:
    _, card = find_card(name)
    if not required and card.tower is not None and locate(card.tower, strict=False) is None:
        how = by_hand(name) if card.tower.hub is None else f"get it with vestige fetch {name}"
        return Served(card, None, f"The model {card.title} lacks its tower on this server: {how}.")
    return Served(
        card,
        Detector.load(
            name, limits=settings.limits, threads=settings.threads, trust_anchors=settings.trust_anchors
        ),
    )


def _load_extractor(settings: ServerSettings) -> ExtractorSession | None:
    name = settings.extractor
    if name is None and DEFAULT_EXTRACTOR not in shipped_extractors():
        return None
    return ExtractorSession(load_extractor_package(name or DEFAULT_EXTRACTOR), settings.threads)


def _entry(served: Served, default: bool) -> ModelEntry:
    card = served.card
    return ModelEntry(
        name=card.name,
        version=card.version,
        title=card.title,
        summary=card.summary,
        default=default,
        ready=served.detector is not None,
        licence=card.licence,
        method=card.method,
        looks_at="file" if card.views.kind == "facts" else "pixels",
        thresholds=(card.abstention.low, card.abstention.high),
        operating_points=card.operating_points,
        failure_modes=card.failure_modes,
        results=card.results,
    )
