"""rc-train two-sequence: section 3.2 of the paper."""

import argparse

from training.commands.options import add_experiment
from training.paper import two_sequence, two_sequence_report

HELP = "section 3.2 of the paper, figure 2"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_experiment(command)


def run(args: argparse.Namespace) -> None:
    result = two_sequence.run(args.quick, args.seeds, args.out, args.command_line)
    two_sequence_report.write(result, args.out)
