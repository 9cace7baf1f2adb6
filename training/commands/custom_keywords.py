"""rc-train own-words: how many recordings a new keyword needs."""

import argparse
from pathlib import Path

from training.commands.options import count, words
from training.data.sources import DataSources
from training.reports.provenance import provenance
from training.studies import custom_keywords

HELP = "accuracy on custom keywords against their number of recordings"


def add_arguments(command: argparse.ArgumentParser) -> None:
    DataSources.add_recordings_argument(command)
    command.add_argument(
        "--words", type=words, default="cat,bed,happy", help="new keywords, with commas; all others: _unknown_"
    )
    command.add_argument("--clips", type=count, nargs="*", default=[5, 20, 50, 100, 300], help="numbers of recordings")
    command.add_argument(
        "--from", dest="initial_checkpoint", default=custom_keywords.INITIAL_CHECKPOINT,
        help="checkpoint that half of the models begin with",
    )  # fmt: skip
    command.add_argument(
        "--synthetic", type=Path, help="folder of rc-train speak with the same words: models from it too"
    )
    command.add_argument(
        "--beside", type=int, nargs="+", default=[0, 5, 20, 50], help="numbers of recordings beside synthetic ones"
    )
    command.add_argument("--out", type=Path, required=True, help="folder; models that it has are not trained again")


def run(args: argparse.Namespace) -> None:
    measured = provenance(args.command_line, 0)
    study = custom_keywords.study_keywords(
        args.data_dir, args.words, args.clips, args.initial_checkpoint, args.out, measured, args.synthetic, args.beside
    )
    custom_keywords.write(study, args.out)
    print((args.out / "README.md").read_text())
