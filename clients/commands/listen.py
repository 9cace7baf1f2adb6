"""rc-listen: send a microphone to a server and print each keyword as it is detected, until Ctrl-C.

Detections go to standard output, everything else to standard error; with --json every event is an object on the former.
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

from clients.commands.formatting import event_line, write_line
from clients.commands.hook import DetectionHook
from clients.commands.level_meter import LevelMeter
from clients.commands.options import add_url
from clients.connection import Event, StreamError
from clients.decisions import DECISIONS
from clients.listener import Listener
from clients.microphone import Microphone, MicrophoneError, devices
from service.commands.output import CommandParser, run_command

SETTINGS = ("model", "speed", "keywords", "threshold", "early")  # options that become settings of the stream


class Screen:
    """Shows events to a person or a program, and runs the hook."""

    def __init__(self, as_json: bool, meter: LevelMeter, hook: DetectionHook | None, device: str) -> None:
        self._as_json, self._meter, self._hook, self._device = as_json, meter, hook, device

    def show(self, event: Event) -> None:
        """Print an event; a decision starts the hook first."""
        if self._hook:
            for problem in self._hook.start(event) if event["type"] in DECISIONS else self._hook.ended():
                self._print(f"--exec: {problem}", sys.stderr)
        if event["type"] == "ready":
            self._print(f"{self._device}: listening for {', '.join(event['config']['keywords'])}", sys.stderr)
        elif self._as_json:
            self._print(json.dumps(event), sys.stdout)
        else:
            self._print(event_line(event), sys.stdout if event["type"] in DECISIONS else sys.stderr)

    def _print(self, line: str, out: TextIO) -> None:
        self._meter.clear()
        write_line(line, out)


async def listen(args: argparse.Namespace) -> None:
    """Send the microphone until interrupted. Raises MicrophoneError, and StreamError where trying again is useless."""
    settings = {name: value for name in SETTINGS if (value := getattr(args, name)) is not None}
    meter = LevelMeter(sys.stderr)
    with Microphone(args.device) as microphone:
        rate = microphone.sample_rate
        screen = Screen(args.json, meter, args.exec and DetectionHook(args.exec), f"{microphone.name}, {rate} Hz")
        listener = Listener(microphone, args.url, settings, screen.show, lambda block: meter.push(block.samples, rate))
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
    """The number of a microphone, or a part of its name."""
    return int(text) if text.isdecimal() else text


def command_line(text: str) -> list[str]:
    """The words of a command, cut as a shell would. Raises ArgumentTypeError where there is no such program."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a command, got {text!r}: {error}") from error
    if not command or not shutil.which(command[0]):
        raise argparse.ArgumentTypeError(f"expected a program of this machine, got {text!r}")
    return command


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(
        prog="rc-listen", description="Send a microphone to a server and print each keyword it detects."
    )
    parser.add_argument("--list-devices", action="store_true", help="print the microphones of this machine and exit")
    parser.add_argument(
        "--device", type=device, help="number of a microphone or a part of its name (default: marked *)"
    )
    add_url(parser)
    parser.add_argument("--model", help="one of the server's models (default: the server's)")
    parser.add_argument("--speed", choices=("fast", "balanced", "accurate"), help="(default: balanced)")
    parser.add_argument("--keywords", type=lambda text: text.split(","), metavar="A,B", help="detect only these")
    parser.add_argument("--threshold", type=float, help="score that makes a detection (default: that of the speed)")
    parser.add_argument(
        "--early", action="store_true", default=None, help="early detections too, each confirmed or retracted"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument(
        "--exec",
        type=command_line,
        metavar="CMD",
        help="run this on each detection, without a shell, with RC_LABEL, RC_SCORE, RC_AUDIO_TIME_S, RC_LAG_MS and "
        "RC_STATUS set: final, or with --early early, confirmed and retracted",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; exit status 0, 1 without a microphone or when the server refuses, 130 on a second Ctrl-C."""
    args = parse(argv)
    return run_command("rc-listen", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """List the microphones or listen; exit status 0, 1 without a microphone or when the server refuses."""
    try:
        if args.list_devices:
            for line in devices():
                write_line(line, sys.stdout)
        else:
            asyncio.run(listen(args))
    except (MicrophoneError, StreamError) as error:
        write_line(f"rc-listen: {error}", sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
