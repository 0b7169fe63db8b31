"""The `thinkscope` command. Each file beside this one is a command; nothing heavy is imported before one runs.

A command file has `register(commands)`, which adds its parser, and `run(args)`, which returns the exit code. Files that
begin with an underscore are no commands.
"""

from workbench.cli._main import main, make_parser

__all__ = ["main", "make_parser"]
