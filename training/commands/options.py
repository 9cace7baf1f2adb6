"""Options that several commands share, and the types of their values."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from training.errors import TrainingError
from training.evaluation.calibration import SILENCE_AFTER_S, SILENCE_DBFS

SPLITS = ("validation", "test")
N = TypeVar("N", int, float)


class OptionError(TrainingError):
    """Options that do not go together."""


def add_split(command: argparse.ArgumentParser) -> None:
    command.add_argument("--split", choices=SPLITS, default="validation", help="which clips are measured on")


def add_silence_rule(command: argparse.ArgumentParser) -> None:
    command.add_argument("--silence-dbfs", type=dbfs, default=SILENCE_DBFS, help="peak of what may be silence")
    command.add_argument(
        "--silence-after", type=seconds, default=SILENCE_AFTER_S, metavar="S",
        help="how long audio is so quiet before the model is no longer run; 0: the model is always run",
    )  # fmt: skip


def add_experiment(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="small networks for a minute or two, to see it work")
    command.add_argument("--seeds", type=count, default=3, help="how many times each network is trained")
    command.add_argument(
        "--out", type=Path, required=True, help="folder for README.md, data.json, figures and runs, which are kept"
    )


def words(value: str) -> tuple[str, ...]:
    """Different words with commas between them."""
    separate = tuple(value.split(","))
    if len(set(separate)) < len(separate) or any(not word or word.startswith("_") for word in separate):
        raise argparse.ArgumentTypeError(f"expected different words with commas between them, got {value!r}")
    return separate


def threshold(value: str) -> float:
    """A score between 0 and 1 that an output can reach."""
    return number(value, float, 0.0 < float(value) < 1.0, "a number between 0 and 1")


def count(value: str) -> int:
    """A whole number from 1 up."""
    return number(value, int, int(value) > 0, "a whole number from 1 up")


def positive(value: str) -> float:
    return number(value, float, 0 < float(value) < math.inf, "a number above 0")


def dbfs(value: str) -> float:
    return number(value, float, -math.inf < float(value) < 0, "a number below 0")


def seconds(value: str) -> float:
    return number(value, float, 0 <= float(value) <= 60, "0 to 60")


def number(value: str, kind: Callable[[str], N], is_valid: bool, expected: str) -> N:
    if not is_valid:
        raise argparse.ArgumentTypeError(f"expected {expected}, got {value}")
    return kind(value)
