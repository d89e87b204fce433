"""The command line's group: parses, calls, reports. Results go to stdout, everything else to stderr.

A command's module is imported when the command is called, so that each pays only for what it needs.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import traceback
from dataclasses import replace
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import attrs
import click
from click.core import ParameterSource

from loaders.cli.context import Context, answered
from loaders.errors import LoadersError
from loaders.paths import printable
from loaders.settings import Settings
from loaders.signals import Interrupted, raise_on_signal

#: Command → module of `loaders.cli` that has it, in the order of a night.
COMMANDS = {
    "plan": "sourcing",
    "fetch": "sourcing",
    "backfill": "sourcing",
    "check": "landing",
    "load": "landing",
    "forget": "landing",
    "status": "inspecting",
    "gaps": "inspecting",
    "validate": "delivering",
    "publish": "delivering",
    "export": "delivering",
    "report": "delivering",
    "serve": "delivering",
    "run": "running",
    "demo": "running",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in the order of a night."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"loaders.cli.{COMMANDS[cmd_name]}")
        # What was imported stays until the end: no collection of garbage need look through it.
        gc.freeze()
        command = next(
            value for value in vars(module).values() if isinstance(value, click.Command) and value.name == cmd_name
        )
        # The group's own options may stand after the command as well.
        for option in (warehouse_option, json_option):
            if option not in command.params:
                command.params.append(option)
        return command


def _apply(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Takes over an option of the group, wherever it stood. One that was not given changes nothing."""
    assert option.name is not None
    source = context.get_parameter_source(option.name)
    # The environment has been asked by the group, and what stands on its command line weighs more.
    if context.parent is not None and source is not ParameterSource.COMMANDLINE:
        return
    if not isinstance(context.obj, Context):
        context.obj = Context(Settings(), as_json=False)
    if option is json_option and value:
        context.obj = replace(context.obj, as_json=True)
    if option is warehouse_option and value is not None:
        settings = attrs.evolve(context.obj.settings, warehouse=value)
        context.obj = replace(context.obj, settings=settings)


warehouse_option = click.Option(
    ["--warehouse"],
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LOADERS_WAREHOUSE",
    expose_value=False,
    callback=_apply,
    help="The DuckDB file; default warehouse.duckdb in the project's folder.",
)
json_option = click.Option(
    ["--json"], is_flag=True, expose_value=False, callback=_apply, help="Print results as one JSON document."
)


@click.group(
    cls=LazyGroup,
    params=[warehouse_option, json_option],
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LOADERS"},
)
@click.version_option(package_name="loaders", message="loaders %(version)s")
def cli() -> None:
    """Lands exchange history files in a DuckDB warehouse, builds and checks the tables, publishes them."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors with a name become one line and their exit status, with `--json` one document as well."""
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be text, and a terminal need not know every character.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    as_json = _wants_json(sys.argv[1:] if arguments is None else arguments)
    answered.clear()
    error_text = None
    try:
        with raise_on_signal():
            status = cli.main(arguments, standalone_mode=False)
    except Interrupted as ended:
        error_text = "interrupted"
        click.echo(error_text, err=True)
        status = 128 + ended.number
    except click.exceptions.Exit as ended:
        status = ended.exit_code
    except click.ClickException as error:
        error_text = error.format_message()
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        error_text = "interrupted"
        click.echo(error_text, err=True)
        status = 130
    except LoadersError as error:
        error_text = str(error)
        click.echo(f"loaders: {error}", err=True)
        status = error.exit_status
    except BrokenPipeError:
        # Whoever read the output has left; the interpreter must not complain of that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        error_text = _of_the_system(error)
        click.echo(f"loaders: {error_text}", err=True)
        status = 1
    except Exception as error:
        error_text = f"{type(error).__name__}: {error}"
        # The engine, and what stands between it and the expectations, are imported by the commands that need them.
        if type(error).__module__.startswith(("duckdb", "_duckdb", "sqlalchemy", "great_expectations")):
            click.echo(f"loaders: the engine gave up, what was committed is whole: {error}", err=True)
        else:
            click.echo(traceback.format_exc(), err=True)
        status = 1
    if as_json and error_text is not None and not answered:
        click.echo(json.dumps({"error": error_text, "exit_status": status}, indent=2))
    # Whatever is left goes with the process. To look for garbage among it takes the interpreter, at its end, as long as
    # a fifth of its start.
    gc.freeze()
    sys.exit(status if isinstance(status, int) else 0)


def _wants_json(arguments: list[str]) -> bool:
    """Whether `--json` was given, known before the arguments are parsed: they may be what is wrong."""
    options = itertools.takewhile(lambda argument: argument != "--", arguments)
    return "--json" in options or os.environ.get("LOADERS_JSON", "").lower() in ("1", "true", "t", "yes", "y", "on")


def _of_the_system(error: OSError) -> str:
    where = f"{printable(error.filename)}: " if isinstance(error.filename, str) else ""
    return (
        f"{where}{error.strerror or error}. Check the disk, the folder and its permissions; what was committed is whole"
    )
