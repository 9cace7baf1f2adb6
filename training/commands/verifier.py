"""rc-train verifier: a second judge for an exported model."""

import argparse
import json
from pathlib import Path

from training.commands.options import positive
from training.data.sources import DataSources
from training.verification.recipe import add_verifier

HELP = "train a verifier for an exported model, which judges what the model detects"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model, which is changed")
    command.add_argument("--hours", type=positive, default=6.0, help="length of the streams of words to learn from")
    command.add_argument("--seed", type=int, default=0, help="of the streams and the weights")


def run(args: argparse.Namespace) -> None:
    metadata = add_verifier(args.model, DataSources.from_args(args), args.hours, args.seed)
    print(json.dumps(metadata.verifier, indent=1))
