"""rc-train: the commands of training. Thin: each passes its options to the module that does the work."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Protocol

from service.spotting.audio import AudioError
from service.spotting.metadata import ModelError
from training.commands import (
    compare,
    cost,
    custom_keywords,
    download,
    evaluate,
    export,
    int8,
    report,
    review,
    sequence_spotting,
    silence,
    speak,
    speech,
    sweep,
    temporal_mnist,
    two_sequence,
    verifier,
)
from training.errors import TrainingError
from training.machine import keep_freed_memory

USER_ERRORS = (TrainingError, AudioError, ModelError)  # all others are faults of this program and keep their traceback


class Command(Protocol):
    """A module of this folder that is a command."""

    HELP: str

    def add_arguments(self, command: argparse.ArgumentParser) -> None:
        """Add the options."""

    def run(self, args: argparse.Namespace) -> None:
        """Do the work. Raises USER_ERRORS for bad options, data, models or downloads."""


COMMANDS: dict[str, Command] = {
    "speech": speech,
    "speak": speak,
    "review": review,
    "export": export,
    "verifier": verifier,
    "silence": silence,
    "evaluate": evaluate,
    "compare": compare,
    "int8": int8,
    "own-words": custom_keywords,
    "sweep": sweep,
    "cost": cost,
    "download": download,
    "sequence-spotting": sequence_spotting,
    "two-sequence": two_sequence,
    "temporal-mnist": temporal_mnist,
    "report": report,
}


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of every option that takes a value and has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return super()._get_help_string(action) if action.default and action.nargs != 0 else action.help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a message for bad data, models or downloads."""
    args = parser().parse_args(argv)
    keep_freed_memory()
    args.command_line = shlex.join(["rc-train", *(sys.argv[1:] if argv is None else argv)])
    try:
        args.run(args)
    except USER_ERRORS as error:
        print(f"rc-train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rc-train: interrupted; rerun the same command to continue (add --resume for `speech`)", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="rc-train", description="Train, export and measure rank-coded keyword spotters.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        options = commands.add_parser(name, help=command.HELP, formatter_class=HelpFormatter)
        options.set_defaults(run=command.run)
        command.add_arguments(options)
    return top
