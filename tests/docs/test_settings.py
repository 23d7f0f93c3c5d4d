"""The README's tables say what the code says: names, defaults and sentences."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import get_args, get_type_hints

import typer
from typer.models import OptionInfo

from cli.serve import serve
from server.config import Settings
from tests.docs.checkout import README, table_rows


def shown(default: object) -> str:
    """A default as the tables show it."""
    if default is None or default == "":
        return "unset"
    if default == ():
        return "none"
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"`{default}`"


def option_names(parameter: str) -> str:
    """An option as it is written on the command line; one that can be turned off has two forms."""
    app = typer.Typer()
    app.command()(serve)
    (found,) = [option for option in typer.main.get_command(app).params if option.name == parameter]
    return ", ".join(f"`{name}`" for name in (*found.opts, *found.secondary_opts))


def settings() -> Iterator[list[str]]:
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        assert alias is None or isinstance(alias, str)
        yield [f"`{alias or 'TOLLBRIDGE_' + name.upper()}`", shown(field.default), field.description or ""]


def options() -> Iterator[list[str]]:
    hints = get_type_hints(serve, include_extras=True)
    for name, parameter in inspect.signature(serve).parameters.items():
        option = next(extra for extra in get_args(hints[name]) if isinstance(extra, OptionInfo))
        default = option.show_default if isinstance(option.show_default, str) else shown(parameter.default)
        yield [option_names(name), default, option.help or ""]


def as_rows(cells: Iterable[list[str]]) -> list[str]:
    """Rows as they stand in the README, so that a failure shows the line to put there."""
    return [f"| {' | '.join(row)} |" for row in cells]


def test_every_setting_stands_in_the_readme_as_the_class_has_it() -> None:
    assert as_rows(table_rows(README, "## Settings")) == as_rows(settings())


def test_every_option_of_serve_stands_in_the_readme_as_the_command_has_it() -> None:
    assert as_rows(table_rows(README, "## Options of serve")) == as_rows(options())


def test_no_setting_and_no_option_is_without_a_sentence() -> None:
    for name, _, sentence in (*settings(), *options()):
        assert sentence, name
