"""rc-train report: the page of all experiments of the paper."""

import argparse
from pathlib import Path

from training.paper import report

HELP = "one page with the results of the experiments of the paper"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runs", type=Path, required=True, help=f"folder with {', '.join(report.EXPERIMENTS)}")
    command.add_argument(
        "--out", type=Path, default=Path("docs/results/paper"), help="folder for README.md and figures"
    )


def run(args: argparse.Namespace) -> None:
    print(report.gather(args.runs, args.out))
