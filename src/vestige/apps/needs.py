"""What a command needs beyond the field kit."""

from importlib.util import find_spec

from vestige.errors import ConfigError


def needs(*modules: str) -> None:
    """Make sure that libraries of the extra `train` are installed.

    Raises:
        ConfigError: some are not; the sentence says how to get them.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        raise ConfigError(
            f"this command needs the extra 'train' ({names} missing): pip install 'vestige[train]'"
        )
