"""rc-train int8: a model beside itself quantised."""

import argparse
import json
from pathlib import Path

from training.commands.options import add_split
from training.data.sources import DataSources
from training.evaluation.quantization import compare_quantized

HELP = "speed, accuracy and decision time of a model and of itself quantised to 8 bits"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    add_split(command)
    command.add_argument("--out", type=Path, help="folder that the quantised model is written to")


def run(args: argparse.Namespace) -> None:
    rows = compare_quantized(args.model, args.data_dir, args.split, args.out)
    print(json.dumps([row.to_json() for row in rows], indent=1))
