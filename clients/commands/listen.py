"""rc-listen: a microphone to a server, and each keyword as it is heard, until Ctrl-C.

Detections go to standard output and all else to standard error; with --json every event is an object on the former.
"""

import argparse
import asyncio
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from clients.commands.hook import Hook
from clients.commands.level_meter import Meter
from clients.commands.stream import DEFAULT_URL, detection_line, error_line, summary_line
from clients.connection import Event, ServerError
from clients.listener import Listener
from clients.microphone import Microphone, MicrophoneError, devices

SETTINGS = ("model", "speed", "keywords", "threshold")  # of the stream, those that were given


class Screen:
    """Where a person or a program reads what is heard."""

    def __init__(self, as_json: bool, meter: Meter, hook: Hook | None, device: str) -> None:
        self._as_json, self._meter, self._hook, self._device = as_json, meter, hook, device

    def tell(self, event: Event) -> None:
        """Print an event; a detection starts the hook first."""
        if self._hook:
            for complaint in self._hook.start(event) if event["type"] == "detection" else self._hook.ended():
                self._print(f"--exec: {complaint}", sys.stderr)
        if event["type"] == "ready":
            self._print(f"{self._device}: listening for {', '.join(event['config']['keywords'])}", sys.stderr)
        elif self._as_json:
            self._print(json.dumps(event), sys.stdout)
        else:
            self._print(LINES[event["type"]](event), sys.stdout if event["type"] == "detection" else sys.stderr)

    def _print(self, line: str, out: TextIO) -> None:
        self._meter.clear()
        print(line, file=out, flush=True)


def dropped_line(event: Event) -> str:
    """`dropped  1.20 s of audio`."""
    return "dropped  some audio, by the device" if event["by_device"] else f"dropped  {event['audio_s']:.2f} s of audio"


def end_line(event: Event) -> str:
    """The summary of a stream, and what went wrong, if anything did."""
    lost = f", {event['dropped_s']:.2f} s dropped" if event["dropped_s"] else ""
    return summary_line(event) + lost + (f", {event['reconnects']} reconnects" if event["reconnects"] else "")


LINES: dict[str, Callable[[Event], str]] = {
    "detection": detection_line,
    "dropped": dropped_line,
    "error": error_line,
    "summary": end_line,
}


async def listen(given: argparse.Namespace) -> None:
    """Hear the microphone until interrupted. Raises NoMicrophone, and ServerError where the server refuses."""
    settings = {name: value for name in SETTINGS if (value := getattr(given, name)) is not None}
    meter = Meter(sys.stderr)
    with Microphone(given.device) as microphone:
        rate = microphone.sample_rate
        screen = Screen(given.json, meter, given.exec and Hook(given.exec), f"{microphone.name}, {rate} Hz")
        listener = Listener(microphone, given.url, settings, screen.tell, lambda block: meter.push(block.samples, rate))
        with interrupted(listener.stop):
            await listener.run()


@contextmanager
def interrupted(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `stop`, on the event loop; a second one does what it did before."""
    loop = asyncio.get_running_loop()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def first(*_: object) -> None:
        restore()
        loop.call_soon_threadsafe(stop)

    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()


def device(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def words(text: str) -> list[str]:
    """A command line, cut as a shell would. Raises ArgumentTypeError where there is no such program."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a command, got {text!r}: {error}") from error
    if not command or not shutil.which(command[0]):
        raise argparse.ArgumentTypeError(f"expected a program that is there, got {text!r}")
    return command


def address(text: str) -> str:
    if not text.startswith(("ws://", "wss://")):
        raise argparse.ArgumentTypeError(f"expected an address such as {DEFAULT_URL}, got {text!r}")
    return text


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="rc-listen", description="Send a microphone to a server, print what it hears."
    )
    parser.add_argument("--list-devices", action="store_true", help="print the microphones there are, and end")
    parser.add_argument(
        "--device", type=device, help="number of a microphone or a part of its name (default: marked *)"
    )
    parser.add_argument("--url", type=address, default=DEFAULT_URL, help="the server's stream (default: %(default)s)")
    parser.add_argument("--model", help="one of the server's models (default: the server's)")
    parser.add_argument("--speed", choices=("fast", "balanced", "accurate"), help="(default: balanced)")
    parser.add_argument("--keywords", type=lambda text: text.split(","), metavar="A,B", help="hear only these")
    parser.add_argument("--threshold", type=float, help="score that makes a detection (default: that of the speed)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--exec",
        type=words,
        metavar="CMD",
        help="run this on each detection, without a shell, with RC_LABEL, RC_SCORE, RC_AUDIO_TIME_S and RC_LAG_MS set",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit status 0, 1 without a microphone or when the server refuses, 130 on a second Ctrl-C."""
    given = parse(argv)
    try:
        if given.list_devices:
            print(*devices(), sep="\n")
        else:
            asyncio.run(listen(given))
    except (MicrophoneError, ServerError) as error:
        print(f"rc-listen: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
