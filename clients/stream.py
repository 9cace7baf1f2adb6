"""rc-stream: send sound files as a microphone would and print each event as it comes.

A file goes up as pcm_f32le at its own rate and channels, one connection a file, and is flushed at its end, so
the decisions equal those of POST /v1/classify. Prints one line an event; with --json one object a line.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clients.connection import Connection, ConnectionLost, Event, ServerError, Unreachable, connect
from clients.pace import Pace
from clients.recording import Recording
from service.audio import BadAudio

DEFAULT_URL = "ws://127.0.0.1:8000/v1/stream"
WINDOW_SHARE = 0.5  # of the server's backlog limit: how much unheard audio --fast keeps on the way
REPORTS_A_WINDOW = 5  # how often, in that much audio, the server is asked to tell how far it is

Show = Callable[[Path, Event], None]  # what to do with an event of a file


@dataclass(frozen=True)
class Options:
    """What the command line says besides the files."""

    url: str
    mode: str
    speed: str
    realtime: bool
    chunk_s: float


async def stream_file(path: Path, options: Options, show: Show) -> None:
    """Send one file and show its events up to the summary; BadAudio, ServerError or Unreachable on failure."""
    with Recording(path) as recording:
        config = {"sample_rate": recording.sample_rate, "channels": recording.channels, "encoding": "pcm_f32le"}
        async with await connect(options.url, mode=options.mode, speed=options.speed, **config) as connection:
            pace = await choose_pace(connection, options.realtime)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(send(recording, connection, pace, options.chunk_s))
                    async for event in events(connection, pace, options):
                        show(path, event)
            except ExceptionGroup as group:
                raise group.exceptions[0] from None


async def choose_pace(connection: Connection, realtime: bool) -> Pace:
    """Live pace, or as fast as the server listens: then it is asked for `scores`, which tell how far it is."""
    if realtime:
        return Pace()
    window_s = WINDOW_SHARE * connection.ready["limits"]["max_backlog_s"]
    await connection.update(scores_every_ms=max(1, round(window_s / REPORTS_A_WINDOW * 1000)))
    return Pace(window_s)


async def send(recording: Recording, connection: Connection, pace: Pace, chunk_s: float) -> None:
    """Send the recording piece by piece until it ends or the answer is known, then flush."""
    sent_s = 0.0
    with suppress(ConnectionLost):  # the receiving side tells why
        for block in recording.blocks(chunk_s):
            sent_s += len(block) / recording.sample_rate
            if not await pace.wait(sent_s):
                break
            await connection.send(block)
        await connection.flush()


async def events(connection: Connection, pace: Pace, options: Options) -> AsyncIterator[Event]:
    """What is worth showing, up to the summary; ServerError when the stream ends without one."""
    async for event in connection:
        if event["type"] == "scores":
            pace.heard(event["audio_time_s"])
        if event["type"] == "detection":
            if options.realtime:
                event["lag_ms"] = round(pace.lag_ms(event["audio_time_s"]), 1)
            if options.mode == "utterance":
                pace.stop()
        if event["type"] in ("detection", "error", "summary"):
            yield event
        if event["type"] == "summary":
            return
    raise ServerError("closed", "expected a summary, got a closed connection")


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
    """`12.5 s of audio, 8 detections, server p50 0.9 ms, p99 4.0 ms`; no latency where nothing was detected."""
    percentiles = ", ".join(f"{name[:-3]} {ms:.1f} ms" for name, ms in event["latency"].items() if ms is not None)
    server = f", server {percentiles}" if event["detections"] and percentiles else ""
    return f"{event['audio_s']:.2f} s of audio, {event['detections']} detections{server}"


def error_line(event: Event) -> str:
    """`error  bad_audio: expected ..., got ...`."""
    return f"error  {event['code']}: {event['message']}"


LINES = {"detection": detection_line, "summary": summary_line, "error": error_line}


async def stream_files(files: list[Path], options: Options, show: Show) -> int:
    """Send one file after another; 1 when any failed. A bad file does not stop the others, a dead server does."""
    failed = False
    for path in files:
        try:
            await stream_file(path, options, show)
        except BadAudio as error:
            failed = True
            show(path, error_event("bad_audio", str(error)))
        except ServerError as error:
            failed = True
            show(path, error_event(error.code, error.message))
        except Unreachable as error:
            show(path, error_event("unreachable", str(error)))
            return 1
    return int(failed)


def error_event(code: str, message: str) -> Event:
    """What went wrong here, in the shape of the server's own errors."""
    return {"type": "error", "code": code, "message": message, "fatal": True}


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rc-stream", description="Send sound files to a server, print its events.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="WAV, FLAC, OGG or MP3, 8 to 48 kHz")
    parser.add_argument("--url", default=DEFAULT_URL, help="the server's stream (default: %(default)s)")
    parser.add_argument("--mode", choices=("continuous", "utterance"), default="continuous")
    parser.add_argument("--speed", choices=("fast", "balanced", "accurate"), default="balanced")
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
