"""rc-train compare: rank-coded runs beside runs trained from the last step."""

import argparse
from pathlib import Path

from training.commands.options import add_split
from training.data.sources import DataSources
from training.reports.provenance import provenance
from training.studies import rc_vs_eos

HELP = "accuracy against decision time: RC runs beside EOS runs"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--rc", type=Path, nargs="+", required=True, help="runs trained with --method rc")
    command.add_argument("--eos", type=Path, nargs="+", required=True, help="the same with --method eos")
    add_split(command)
    command.add_argument("--out", type=Path, required=True, help="folder for README.md, data.json and curve.png")


def run(args: argparse.Namespace) -> None:
    measured = provenance(args.command_line, 0)
    rc_vs_eos.write(rc_vs_eos.compare_runs(args.rc, args.eos, args.data_dir, args.split, measured), args.out)
    print((args.out / "README.md").read_text())
