"""rc-train export: a checkpoint as a model file."""

import argparse
from pathlib import Path

from training.commands.options import add_silence_rule
from training.data.sources import DataSources
from training.evaluation.calibration import export_checkpoint, silence_rule

HELP = "export a checkpoint to ONNX, speeds chosen on validation"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="best.pt of a run")
    command.add_argument("--out", type=Path, required=True, help="folder for model.onnx; its name is the model's")
    add_silence_rule(command)


def run(args: argparse.Namespace) -> None:
    silence = silence_rule(args.silence_dbfs, args.silence_after)
    export_checkpoint(args.checkpoint, DataSources.from_args(args), args.out, silence)
