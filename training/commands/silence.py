"""rc-train silence: another rule for silence in an exported model."""

import argparse
from pathlib import Path

from training.commands.options import add_silence_rule
from training.evaluation.calibration import silence_rule
from training.model.export import change_silence

HELP = "change the rule by which an exported model takes audio for silence"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model, which is changed")
    add_silence_rule(command)


def run(args: argparse.Namespace) -> None:
    change_silence(args.model, silence_rule(args.silence_dbfs, args.silence_after))
