"""Options that name pictures, and options of `vestige train` that do not go together."""

from pathlib import Path

import pytest
import typer

from vestige.apps.cli import app
from vestige.apps.manifests import manifest_and_split
from vestige.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b.csv", ("a/b.csv", None)),
        ("a/b.csv:dev", ("a/b.csv", "dev")),
        ("a:b.csv:dev", ("a:b.csv", "dev")),
        ("a/b.csv:", ("a/b.csv", None)),
        (":dev", ("", "dev")),
        ("", ("", None)),
        (r"C:\data\b.csv", (r"C:\data\b.csv", None)),
        (r"C:\data\b.csv:dev", (r"C:\data\b.csv", "dev")),
        ("C:/data/b.csv", ("C:/data/b.csv", None)),
    ],
)
def test_manifest_and_split(text: str, expected: tuple[str, str | None]) -> None:
    assert manifest_and_split(text) == expected


def test_a_path_that_exists_is_taken_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert manifest_and_split("set:dev") == ("set", "dev")
    try:
        Path("set:dev").touch()
    except OSError:
        pytest.skip("the system has no file names with a colon")
    assert manifest_and_split("set:dev") == ("set:dev", None)
    assert manifest_and_split("set:dev:dev") == ("set:dev", "dev")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--measure-on", "a.csv"], "--measure-on goes with a --stage before the detector"),
        (["--stage", "dair", "--measure-on", ":dev"], "--measure-on :dev: MANIFEST or MANIFEST:SPLIT"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], sentence: str) -> None:
    command = typer.main.get_command(app)
    arguments = ["train", "recipe.yaml", "--data", "data.csv", "--run", "run", *options]
    with pytest.raises(ConfigError, match=sentence):
        command.main(arguments, standalone_mode=False)


def test_everyday_commands_come_first() -> None:
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    first = ["scan", "inspect", "fetch", "models", "bulk", "serve"]
    others = ["train", "export", "bench", "spectra", "ablate", "deviations", "overlays", "choose", "data"]
    assert names == [*first, *others]
