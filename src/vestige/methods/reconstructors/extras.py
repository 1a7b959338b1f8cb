"""Optional packages that some reconstructors need."""

from importlib import import_module
from typing import Any

from vestige.errors import ConfigError


def require(module: str, kind: str) -> Any:
    """Import a module of an optional package.

    Raises:
        ConfigError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"{kind} needs the package {package}, which cannot be imported ({error}): "
            "pip install 'vestige[reconstructors]'"
        ) from error
