"""Options that rc-stream and rc-listen share."""

import argparse

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
