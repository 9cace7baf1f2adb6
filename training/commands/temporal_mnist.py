"""rc-train temporal-mnist: section 3.3 of the paper."""

import argparse
from pathlib import Path

from training.commands.options import add_experiment
from training.commands.progress import fetch_with_bar
from training.data.download import fetch_mnist
from training.paper import mnist, temporal_mnist, temporal_mnist_report

HELP = "section 3.3 of the paper, figure 3 and table 1"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data-dir",
        type=Path,
        required=True,
        help="folder of MNIST's four files; fetched (11 MB) where any is missing",
    )
    add_experiment(command)


def run(args: argparse.Namespace) -> None:
    if not mnist.is_complete(args.data_dir):
        fetch_with_bar("MNIST", fetch_mnist, args.data_dir)
    for result in temporal_mnist.run(args.data_dir, args.quick, args.seeds, args.out, args.command_line):
        temporal_mnist_report.write(result, args.out)
