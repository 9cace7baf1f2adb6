"""rc-train cost: the CPU time of training by rank coding."""

import argparse
import json
from pathlib import Path

from training.commands.options import count
from training.data.sources import DataSources
from training.data.training_data import load_training_data
from training.learning.checkpoint import read_checkpoint
from training.learning.settings import RunSettings
from training.studies.epoch_cost import measure_cost

HELP = "CPU time of an RC epoch beside an EOS epoch"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument("--checkpoint", type=Path, required=True, help="last.pt of a run with --method rc")
    command.add_argument("--batches", type=count, default=60, help="how many batches are measured by each method")


def run(args: argparse.Namespace) -> None:
    settings = RunSettings.from_dict(read_checkpoint(args.checkpoint)["settings"])
    data = load_training_data(DataSources(args.data_dir), settings.labels)
    print(json.dumps(measure_cost(settings, args.checkpoint, data, args.batches).to_json(), indent=1))
