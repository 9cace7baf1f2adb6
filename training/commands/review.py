"""rc-train review: a list of what a server captured, for a person to answer."""

import argparse
from pathlib import Path

from training.data.captures import REVIEW, RIGHT, WRONG, write_review

HELP = "list what rc-serve --capture-dir kept, to answer which detections were right"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "folder", type=Path, help=f"the --capture-dir; gets {REVIEW}, whose column `answer` takes {RIGHT} or {WRONG}"
    )


def run(args: argparse.Namespace) -> None:
    answers = write_review(args.folder)
    print(
        f"{args.folder / REVIEW}: {answers.total()} clips, {answers[RIGHT]} right, {answers[WRONG]} wrong, "
        f"{answers['']} without an answer: fill in {RIGHT} or {WRONG}, then train with --captures {args.folder}"
    )
