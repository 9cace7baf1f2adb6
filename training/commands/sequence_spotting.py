"""rc-train sequence-spotting: section 3.1 of the paper."""

import argparse

from training.commands.options import add_experiment
from training.paper import sequence_spotting, sequence_spotting_report

HELP = "section 3.1 of the paper, figure 1"


def add_arguments(command: argparse.ArgumentParser) -> None:
    add_experiment(command)


def run(args: argparse.Namespace) -> None:
    result = sequence_spotting.run(args.quick, args.seeds, args.out, args.command_line)
    sequence_spotting_report.write(result, args.out)
