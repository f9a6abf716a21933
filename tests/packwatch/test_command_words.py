"""What the commands say to a person: defaults in the help, and mistakes in one readable line."""

import pytest
from typer.testing import CliRunner

from packwatch.cli import app


@pytest.mark.parametrize(
    ("words", "default"),
    [
        (["up"], "[default: packwatch-data]"),
        (["up"], "[default: 127.0.0.1:8470]"),
        (["up"], "[default: 127.0.0.1:18830]"),
        (["rules", "check"], "[default: packwatch-data]"),
        (["rules", "test"], "[default: those of the settings, else the shipped ones]"),
    ],
    ids=["the data directory", "the pages", "the broker", "of a group's command", "the rules"],
)
def test_help_tells_what_holds_when_an_option_is_left_out(words, default):
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "160", "TERMINAL_WIDTH": "160"})
    assert default in " ".join(result.output.replace("│", " ").split())


def test_a_file_that_is_not_there_is_named_without_the_numbers_of_the_operating_system(tmp_path):
    missing = tmp_path / "missing.toml"
    result = CliRunner().invoke(app, ["rules", "check", str(missing)])
    assert result.exit_code == 1
    assert " ".join(result.stderr.split()) == f"packwatch: {missing}: No such file or directory"
