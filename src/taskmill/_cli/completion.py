"""``taskmill completion``: what lets a shell complete commands and options."""

from __future__ import annotations

from typing import Any

from taskmill._cli import exit_code
from taskmill._cli.output import put
from taskmill._cli.parser import Parser, one_of
from taskmill.errors import ConfigurationError

_SHELLS = ("bash", "zsh", "fish")
_EXAMPLE = """\
  taskmill completion bash

where shells look for it:
  bash  ~/.local/share/bash-completion/completions/taskmill
  zsh   _taskmill, in a folder of $fpath
  fish  ~/.config/fish/completions/taskmill.fish"""


def configure(parser: Parser) -> None:
    """The options."""
    parser.describe(
        "Print the script with which a shell completes the commands and options of taskmill. It asks nobody "
        "when you press Tab; print it again after an upgrade.",
        example=_EXAMPLE,
    )
    # Its choices are what the shells complete.
    shell = one_of("shell", _SHELLS)
    parser.add_argument("shell", type=shell, choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))


def run(arguments: Any) -> int:
    """Print it."""
    try:
        import shtab  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        raise ConfigurationError(
            "completion needs shtab, which is not installed: pip install 'taskmill[cli]'"
        ) from None
    from taskmill._cli.main import COMMANDS, build_parser  # noqa: PLC0415  (where this module is named)

    put(shtab.complete(build_parser([*COMMANDS]), shell=arguments.shell).rstrip("\n"))
    return exit_code.OK
