"""The command line: one module a family of commands."""

from loaders.cli.group import cli, main

__all__ = ["cli", "main"]
