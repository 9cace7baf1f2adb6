"""rc-train evaluate: the figures of an exported model, and with --card the files beside it."""

import argparse
import json
from pathlib import Path

from service.spotting.model import Model
from training.commands.options import add_split, positive
from training.data.sources import DataSources
from training.evaluation.clip_report import evaluate_folder
from training.evaluation.streams import evaluate_sources
from training.reports.model_card import card_figures, write_model_files
from training.reports.model_report import ModelReport
from training.reports.provenance import provenance

HELP = "measure an exported model on a split"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_arguments(command)
    command.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    add_split(command)
    command.add_argument(
        "--streams", action="store_true", help="measure continuous audio too; all of it needs --speech"
    )
    command.add_argument("--hours", type=positive, default=2.0, help="length of each test stream")
    command.add_argument("--json", action="store_true", help="print the whole report as JSON")
    command.add_argument("--card", action="store_true", help="write report.json, README.md and plots beside the model")


def run(args: argparse.Namespace) -> None:
    model = Model(args.model)
    clips = evaluate_folder(model, args.data_dir, args.split)
    streams = evaluate_sources(model, DataSources.from_args(args), args.split, args.hours) if args.streams else None
    measured = provenance(args.command_line, model.metadata.seed)
    model_report = ModelReport(**vars(clips), measured=measured, streams=streams)
    if args.card:
        write_model_files(model.metadata, model_report, args.model)
    print(json.dumps(model_report.to_json(), indent=1) if args.json else "\n".join(card_figures(model_report)))
