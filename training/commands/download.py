"""rc-train download: the public recordings that models are trained on."""

import argparse
from pathlib import Path

from training.commands.progress import fetch_with_bar
from training.data.download import fetch_speech_commands

HELP = "fetch Speech Commands v0.02 from its official address"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="destination; 2.4 GB are fetched, an interrupted fetch resumes")


def run(args: argparse.Namespace) -> None:
    fetch_with_bar("speech_commands_v0.02", fetch_speech_commands, args.folder)
