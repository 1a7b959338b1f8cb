"""The names by which conditions are asked for."""

from collections.abc import Sequence

from vestige.errors import ConfigError
from vestige.evaluation.protocols.condition import Condition
from vestige.evaluation.protocols.delivery import FAMILY, way_conditions
from vestige.evaluation.protocols.single import SINGLE
from vestige.evaluation.protocols.sweeps import AXES, LEVELS, NONE, sweep


def conditions(names: Sequence[str]) -> list[Condition]:
    """The conditions of these names, in their order, each once.

    Args:
        names: names of conditions ("web", "jpeg-50"), of one sweep ("sweep-jpeg"), "sweep" for all of them,
            or "delivery" for the ten ways of the byte-delivery test. A sweep begins with `none`, the base
            without a perturbation.

    Raises:
        ConfigError: unknown names; the message lists them and what is known.
    """
    offered = _offered()
    unknown = [name for name in dict.fromkeys(names) if name not in offered]
    if unknown:
        raise ConfigError(
            f"no protocol is called {', '.join(map(repr, unknown))}; known are {', '.join(offered)}"
        )
    return list({found.name: found for name in names for found in offered[name]}.values())


def known() -> list[tuple[str, str]]:
    """Everything that `conditions` takes: the name and one sentence about it, single protocols first."""
    found = [(condition.name, condition.text) for condition in SINGLE]
    every = ", ".join(LEVELS)
    found.append(("sweep", f"All perturbation sweeps ({every}) and the base that they start from."))
    for family, levels in LEVELS.items():
        places = ", ".join(f"{level:g}" for level in levels)
        found.append((f"sweep-{family}", f"The base and the levels {places} ({AXES[family]})."))
    found.append((NONE.name, NONE.text))
    found += [(condition.name, condition.text) for family in LEVELS for condition in sweep(family)]
    found.append((FAMILY, "The byte-delivery test: every picture shipped in ten ways."))
    found += [(condition.name, condition.text) for condition in way_conditions()]
    return found


def _offered() -> dict[str, list[Condition]]:
    sweeps = {family: list(sweep(family)) for family in LEVELS}
    single = {condition.name: [condition] for condition in SINGLE}
    all_levels = [condition for levels in sweeps.values() for condition in levels]
    return {
        **single,
        "sweep": [NONE, *all_levels],
        **{f"sweep-{family}": [NONE, *levels] for family, levels in sweeps.items()},
        NONE.name: [NONE],
        FAMILY: way_conditions(),
        **{condition.name: [condition] for condition in way_conditions()},
        **{condition.name: [condition] for condition in all_levels},
    }
