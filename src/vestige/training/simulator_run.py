"""A run's fitted simulator of imprints, with the networks whose differences it was fitted to."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vestige.errors import ConfigError
from vestige.methods.nirnet.simulator import Simulator
from vestige.methods.nirnet.stage import NAME, SimulatorMeasurement, SimulatorStage, build_simulator
from vestige.methods.stage import RECORD
from vestige.training.recipe import read_recipe
from vestige.training.run import RECIPE
from vestige.training.stages import finished, starting_sha256

METHOD = "nirnet"


@dataclass(frozen=True)
class SimulatorRun:
    """What a run has for looking at its imprints.

    Attributes:
        simulator: as it was fitted.
        task: its parts are the differences of the reconstructors, in the simulator's order.
        config: of the stage.
        record: of the stage: manifest and split that it was fitted to, among others.
        path: of the simulator's file.
    """

    simulator: Simulator
    task: SimulatorMeasurement
    config: SimulatorStage
    record: dict[str, Any]
    path: Path


def is_simulator_run(run: Path) -> bool:
    """Whether a folder is a run of NIRNet, or has its stage.

    Raises:
        ConfigError: the run's recipe or the stage's record cannot be read.
    """
    if (run / NAME / RECORD).exists():
        return bool(_record(run).get("method") == METHOD)
    return (run / RECIPE).exists() and read_recipe(run / RECIPE).method == METHOD


def open_simulator(run: Path, weights: Path | None) -> SimulatorRun:
    """The simulator of a run and its reconstructors, built as they were for the fit.

    Args:
        weights: folder with the reconstructors' weights; None if they need none.

    Raises:
        ConfigError: it is not fitted, weights are missing, or they are other ones than it was fitted with.
    """
    path = finished(run, NAME)
    record = _record(run)
    try:
        config = SimulatorStage.model_validate(record["config"])
    except (KeyError, ValidationError) as error:
        raise ConfigError(f"{run / NAME / RECORD}: not the record of a simulator ({error})") from error
    task = build_simulator(config, run, weights)
    simulator = Simulator.load(path)
    if simulator.generators != task.names or record.get("starting_weights_sha256") != starting_sha256(task):
        raise ConfigError(
            f"{weights or run}: the reconstructors there are not those that {path} was fitted to; name the "
            "folder of weights of that fit with --weights"
        )
    return SimulatorRun(simulator, task, config, record, path)


def _record(run: Path) -> dict[str, Any]:
    path = run / NAME / RECORD
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: cannot be read as the record of a stage ({error})") from error
