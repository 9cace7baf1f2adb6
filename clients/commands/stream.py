"""rc-stream: send sound files to a server as a microphone would, or faster, and print each event as it comes.

A file goes up as pcm_f32le at its own rate and channels and is flushed at its end, so the decisions equal those of
POST /v1/classify. Prints one line per event, errors to stderr; with --json one object per line.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from clients.commands.formatting import event_line, write_line
from clients.commands.options import add_url, positive
from clients.connection import Event, ServerUnreachableError, StreamError
from clients.player import Player, PlayerOptions
from clients.sound_file import Recording
from service.commands.output import CommandParser, path_text, run_command
from service.spotting.audio import AudioError
from service.spotting.files.containers import KINDS

OnFileEvent = Callable[[Path, Event], None]


async def stream_files(files: Iterable[Path], options: PlayerOptions, show: OnFileEvent) -> int:
    """Send one file after another; 1 when any failed. A bad file does not stop the others, a missing server does."""
    failed = False
    async with Player(options) as player:
        for path in files:
            try:
                await player.play(Recording(path), partial(show, path))
            except AudioError as error:
                failed = True
                show(path, error_event("bad_audio", str(error)))
            except StreamError as error:
                failed = True
                show(path, error_event(error.code, error.message))
                if isinstance(error, ServerUnreachableError):
                    break
    return int(failed)


def error_event(code: str, message: str) -> Event:
    """An error of this side, in the shape of the server's own."""
    return {"type": "error", "code": code, "message": message, "fatal": True}


def show_json(path: Path, event: Event) -> None:
    """Print an event with its file's name as one JSON object."""
    write_line(json.dumps({"file": path_text(path), **event}), sys.stdout)


def show_line(path: Path, event: Event) -> None:
    """Print an event as a line for people, errors to stderr."""
    name = path_text(Path(path.name)) if path.name else str(path)
    write_line(f"{name}  {event_line(event)}", sys.stderr if event["type"] == "error" else sys.stdout)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(prog="rc-stream", description="Send sound files to a server and print its events.")
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=f"{KINDS}; M4A, WebM and AAC with the extra media; 8 to 48 kHz",
    )
    add_url(parser)
    parser.add_argument(
        "--mode",
        choices=("continuous", "utterance"),
        default="continuous",
        help="every keyword of an endless stream (the default), or one answer per file",
    )
    parser.add_argument(
        "--speed", choices=("fast", "balanced", "accurate"), default="balanced", help="(default: %(default)s)"
    )
    parser.add_argument("--early", action="store_true", help="early detections too, each confirmed or retracted")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--realtime", action="store_true", default=True, help="send as a microphone would (the default)")
    pace.add_argument("--fast", dest="realtime", action="store_false", help="send as fast as the server decides")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--chunk-ms", type=positive, default=40.0, help="audio in one message (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit status 0, 1 when any file failed, 130 when interrupted, 141 when its reader has left."""
    args = parse(argv)
    options = PlayerOptions(args.url, args.mode, args.speed, args.realtime, args.chunk_ms / 1000, args.early)
    show = show_json if args.json else show_line
    return run_command("rc-stream", lambda: asyncio.run(stream_files(args.files, options, show)))


if __name__ == "__main__":
    sys.exit(main())
