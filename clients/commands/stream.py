"""rc-stream: send sound files to a server as a microphone would, or faster, and print each event as it comes.

A file goes up as pcm_f32le at its own rate and channels and is flushed at its end, so the decisions equal those of
POST /v1/classify. Prints one line an event, errors to stderr; with --json one object a line.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from clients.connection import Event, ServerError, ServerUnreachableError
from clients.player import Options, Player
from clients.sound_file import Recording
from service.spotting.audio import AudioError

DEFAULT_URL = "ws://127.0.0.1:8000/v1/stream"

Show = Callable[[Path, Event], None]  # what to do with an event of a file


async def stream_files(files: Iterable[Path], options: Options, show: Show) -> int:
    """Send one file after another; 1 when any failed. A bad file does not stop the others, a dead server does."""
    failed = False
    async with Player(options) as player:
        for path in files:
            try:
                await player.play(Recording(path), partial(show, path))
            except AudioError as error:
                failed = True
                show(path, error_event("bad_audio", str(error)))
            except ServerError as error:
                failed = True
                show(path, error_event(error.code, error.message))
            except ServerUnreachableError as error:
                show(path, error_event("unreachable", str(error)))
                return 1
    return int(failed)


def error_event(code: str, message: str) -> Event:
    """What went wrong here, in the shape of the server's own errors."""
    return {"type": "error", "code": code, "message": message, "fatal": True}


def show_json(path: Path, event: Event) -> None:
    """Print an event with its file's name as one JSON object."""
    print(json.dumps({"file": str(path), **event}), flush=True)


def show_line(path: Path, event: Event) -> None:
    """Print an event as a line for people, errors to stderr."""
    to = sys.stderr if event["type"] == "error" else sys.stdout
    print(f"{path.name}  {LINES[event['type']](event)}", file=to, flush=True)


def detection_line(event: Event) -> str:
    """`1.62 s  yes     0.97  (server 1.1 ms, model wait 52 ms)`; a `?` marks a label that crossed nothing."""
    latency = event["latency"]
    label = event["label"] if event["crossed"] else event["label"] + "?"
    lag = f"spoken {event['lag_ms']:.0f} ms ago, " if "lag_ms" in event else ""
    waits = f"{lag}server {latency['server_ms']:.1f} ms, model wait {latency['algorithmic_ms']:.0f} ms"
    return f"{event['audio_time_s']:6.2f} s  {label:<10} {event['score']:.2f}  ({waits})"


def summary_line(event: Event) -> str:
    """`12.50 s of audio, 8 detections, server p50 0.9 ms, p95 2.1 ms, p99 4.0 ms`."""
    percentiles = ", ".join(f"{name[:-3]} {ms:.1f} ms" for name, ms in event["latency"].items() if ms is not None)
    server = f", server {percentiles}" if percentiles else ""
    return f"{event['audio_s']:.2f} s of audio, {event['detections']} detections{server}"


def error_line(event: Event) -> str:
    """`error  bad_audio: expected ..., got ...`."""
    return f"error  {event['code']}: {event['message']}"


LINES = {"detection": detection_line, "summary": summary_line, "error": error_line}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rc-stream", description="Send sound files to a server, print its events.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG or MP3, 8 to 48 kHz")
    parser.add_argument("--url", default=DEFAULT_URL, help="the server's stream (default: %(default)s)")
    parser.add_argument(
        "--mode",
        choices=("continuous", "utterance"),
        default="continuous",
        help="every keyword of an endless stream (the default), or one answer a file",
    )
    parser.add_argument(
        "--speed", choices=("fast", "balanced", "accurate"), default="balanced", help="(default: %(default)s)"
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--realtime", action="store_true", default=True, help="send as a microphone would (the default)")
    pace.add_argument("--fast", dest="realtime", action="store_false", help="send as fast as the server listens")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--chunk-ms", type=float, default=40.0, help="audio in one message (default: %(default)s)")
    given = parser.parse_args(argv)
    if not given.chunk_ms > 0:
        parser.error(f"argument --chunk-ms: expected more than 0, got {given.chunk_ms}")
    return given


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit status 0, or 1 when any file failed, or 130 when interrupted."""
    given = parse(argv)
    options = Options(given.url, given.mode, given.speed, given.realtime, given.chunk_ms / 1000)
    try:
        return asyncio.run(stream_files(given.files, options, show_json if given.json else show_line))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
