"""Types of command line options that several commands share."""

import argparse
import math

from clients.connection import StreamError
from clients.handshake import EXAMPLE, parse_address

DEFAULT_URL = EXAMPLE


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add `--url`."""
    parser.add_argument(
        "--url", type=stream_url, default=DEFAULT_URL, help="the server's stream (default: %(default)s)"
    )


def stream_url(text: str) -> str:
    """A ws:// or wss:// address as it is. Raises ArgumentTypeError for anything else."""
    try:
        parse_address(text)
    except StreamError as error:
        raise argparse.ArgumentTypeError(error.message) from error
    return text


def positive(text: str) -> float:
    """A number greater than 0. Raises ArgumentTypeError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number greater than 0, got {text!r}")
    return number


def positive_count(text: str) -> int:
    """A whole number greater than 0. Raises ArgumentTypeError for anything else."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number greater than 0, got {text!r}")
    return int(text)
