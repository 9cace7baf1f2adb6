"""rc-train download: the public recordings that models are trained on, and the voices of rc-train speak."""

import argparse
from pathlib import Path

from training.commands.progress import fetch_with_bar
from training.data.download import fetch_speech_commands, fetch_voices

HELP = "fetch Speech Commands v0.02, or the voices of rc-train speak, from their official addresses"
VOICES = "voices"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what", nargs="?", choices=("speech-commands", VOICES), default="speech-commands",
        help="recordings of words, 2.4 GB; or a synthesiser with 54 voices, 121 MB",
    )  # fmt: skip
    command.add_argument(
        "folder", type=Path, help="destination; an interrupted fetch resumes; `voices` alone: ./voices"
    )


def run(args: argparse.Namespace) -> None:
    if VOICES in (args.what, str(args.folder)):
        fetch_with_bar("Kokoro-82M", fetch_voices, args.folder)
    else:
        fetch_with_bar("speech_commands_v0.02", fetch_speech_commands, args.folder)
