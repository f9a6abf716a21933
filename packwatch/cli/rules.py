"""Commands about the rules by which alerts are raised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packwatch.cli.options import DataDir, out, readable_errors

if TYPE_CHECKING:
    from alerts.rules_file import LoadedRules

RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--rules", metavar="FILE", help="The rules. \\[default: those of the settings, else the shipped ones]"
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rules = typer.Typer(help="Check, test and show the rules by which alerts are raised.", no_args_is_help=True)
    rules.command("check")(check)
    rules.command("test")(run_tests)
    rules.command("show")(show)
    rules.command("log")(log)
    app.add_typer(rules, name="rules", rich_help_panel="Judge the detector")


def check(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Left out: the one of the settings.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Say whether a rules file can be used, and how it differs from the shipped rules. Names every mistake."""
    with readable_errors():
        from alerts.rules_file import changes_between, shipped_rules

        loaded = _load(file, data_dir)
        _say(f"{loaded.source}: {loaded.name} can be used")
        for change in changes_between(shipped_rules(), loaded):
            _say(f"  {change}")


def run_tests(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Rule tests. Left out: those that Packwatch ships.")
    ] = None,
    rules: RulesOption = None,
    data_dir: DataDir = None,
) -> None:
    """Run rule tests: courses of temperatures in words, and what the rules must say. Exits with 1 when one fails."""
    with readable_errors():
        from alerts.rule_scenarios import parse_rule_tests, run_rule_test, shipped_tests

        loaded = _load(rules, data_dir)
        failed = passed = 0
        for each in files or shipped_tests():
            for case in parse_rule_tests(each.read_text(), str(each) if isinstance(each, Path) else each.name):
                result = run_rule_test(case, loaded.rules)
                _say(f"{'FAILED' if result.failures else 'passed'}  {each.name}: {result.name}")
                for line in result.failures:
                    _say(f"    {line}")
                failed, passed = failed + bool(result.failures), passed + (not result.failures)
        _say(f"{passed} passed, {failed} failed, by {loaded.source}, {loaded.name}")
        if failed:
            raise typer.Exit(1)


def show() -> None:
    """Print the shipped rules, every key with its value: something to begin a file of one's own with."""
    from alerts.rules_file import shipped_rules

    typer.echo(shipped_rules().content.decode(), nl=False)


def log(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest this many.")] = 20,
    data_dir: DataDir = None,
) -> None:
    """List changes of the rules in force: when, by whom, from which file, and what."""
    with readable_errors():
        from packwatch.settings import Settings, SettingsError
        from registry.registry import Registry

        settings = Settings.load(data_dir=data_dir)
        if settings.registry_url is None and not settings.data_dir.is_dir():
            raise SettingsError(f"{settings.data_dir} is no data directory: name it with --data-dir")
        registry = Registry.open(settings.registry_address())
        try:
            changes = registry.rules_changes(limit)
        finally:
            registry.close()
        for change in changes:
            _say(f"{change.at:%Y-%m-%d %H:%M:%S} UTC  version {change.version} ({change.content_hash[:12]})")
            _say(f"    by {change.actor}, from {change.source}{f': {change.note}' if change.note else ''}")
            for line in change.changes:
                _say(f"    {line}")


def _load(file: Path | None, data_dir: Path | None) -> LoadedRules:
    from alerts.rules_file import parse_rules, shipped_rules
    from packwatch.settings import Settings

    if file is None:
        settings = Settings.load(data_dir=data_dir)
        file = settings.rules_path()
        if settings.rules_file is None and not file.exists():
            return shipped_rules()
    return parse_rules(file.read_bytes(), str(file))


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
