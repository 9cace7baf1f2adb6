"""rc-bench: how many streams a server carries on this machine, and how fast it decides for them.

Starts a server of its own, sends the bundled recording over N WebSocket streams at live pace, and compares every
detection with those of one stream alone. Server CPU and memory come from the server's own /metrics. `--transport`
measures the same load on a server that does nothing with its audio, `--silent` streams that speak in turn, `--early`
early detections, `--files` how fast files are classified.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from clients.bench.early import DEFAULT_ROUNDS, Cost, EarlyCost, measure_early
from clients.bench.files import measure_files
from clients.bench.load import Load, Turn
from clients.bench.measure import expected_of, measure
from clients.bench.recording import looped_recording, taking_turns
from clients.bench.results import SECTIONS, BenchReport, LoadResult, write_into
from clients.commands.options import positive, positive_count
from clients.demo.__main__ import RECORDING
from service.bundled import BUNDLED_MODEL, models_directory
from service.commands.output import CommandParser, run_command
from service.machine import this_machine
from service.spotting.audio import SAMPLE_RATE, Samples
from service.spotting.files import read_audio
from service.testing import HOST, free_port, rc_serve, serving

P99_LIMIT_MS = 20.0  # what --find-capacity holds


def run_early(args: argparse.Namespace) -> tuple[EarlyCost, ...]:
    """What early detections cost with the first size of chunk, one result per number of streams."""
    audio, port = looped_recording(args.seconds), free_port()
    expected = expected_of(args.models / args.model, audio)

    def cost(load: Load) -> Cost:
        row = measure(port, load)
        return Cost(row.cpu_ms_per_stream_s, row.found, row.expected)

    def load(streams: int) -> Load:
        return Load(f"ws://{HOST}:{port}/v1/stream", streams, audio, SAMPLE_RATE, args.chunk_ms[0] / 1000, expected)

    with serving(port, rc_serve(port, args.models, args.model)):
        return tuple(measure_early(load(streams), args.early, cost) for streams in args.streams)


def run(args: argparse.Namespace) -> tuple[LoadResult, ...]:
    """One result per load; with --transport beside it the CPU time of a server that does nothing with its audio."""
    port, null_port = free_port(), free_port()
    null_server = [sys.executable, "-m", "clients.bench.null_server", str(null_port)]
    null_serving = serving(null_port, null_server) if args.transport else nullcontext()
    with serving(port, rc_serve(port, args.models, args.model)), null_serving:
        return tuple(LoadSeries(args, port, null_port if args.transport else None).run())


class LoadSeries:
    """The loads that the command line asks for, each on both servers directly one after the other."""

    def __init__(self, args: argparse.Namespace, port: int, null_port: int | None) -> None:
        self._args, self._port, self._null_port = args, port, null_port
        self._talking = self._turn(looped_recording(args.seconds))
        silent = taking_turns(args.seconds, args.silent) if args.silent else ()
        self._silent = tuple(self._turn(audio) for audio in silent)
        self._results: list[LoadResult] = []

    def run(self) -> list[LoadResult]:
        """One result per size of chunk and number of streams, each also on shared sockets; then the same with silence.

        To find the capacity, half as many streams more each time until the limit is passed, and at last 70 % of those
        that were carried.
        """
        for chunk_ms in self._args.chunk_ms:
            latest = [self._add_all(streams, chunk_ms) for streams in self._args.streams][-1]
            while self._args.find_capacity and holds(latest):
                carried = latest.streams
                latest = self._add(carried * 3 // 2, chunk_ms)
                if not holds(latest):
                    self._add(carried * 7 // 10, chunk_ms)
        return self._results

    def _add_all(self, streams: int, chunk_ms: float) -> LoadResult:
        talking = self._add_on_sockets(streams, chunk_ms)
        if self._silent:
            self._add_on_sockets(streams, chunk_ms, self._silent)
        return talking

    def _add_on_sockets(self, streams: int, chunk_ms: float, turns: tuple[Turn, ...] = ()) -> LoadResult:
        own = self._add(streams, chunk_ms, turns=turns)
        for sockets in self._args.sockets:
            shared = self._add(streams, chunk_ms, sockets, turns)
            if not own.failed and not shared.failed:
                ratio = round(shared.cpu_ms_per_stream_s / max(own.cpu_ms_per_stream_s, 1e-3), 2)
                self._results[-1] = replace(shared, of_own_sockets=ratio)
        return own

    def _add(self, streams: int, chunk_ms: float, sockets: int = 0, turns: tuple[Turn, ...] = ()) -> LoadResult:
        path, (audio, expected) = f"v1/stream{'s' if sockets else ''}", (self._talking.audio, self._talking.expected)
        load = Load(
            f"ws://{HOST}:{self._port}/{path}", streams, audio, SAMPLE_RATE, chunk_ms / 1000, expected, sockets,
            turns=turns,
        )  # fmt: skip
        row = measure(self._port, load)
        if self._null_port:
            null = replace(load, url=f"ws://{HOST}:{self._null_port}/{path}")
            row = with_transport(row, measure(self._null_port, null))
        self._results.append(row)
        print(f"{streams} streams: {row}", file=sys.stderr)
        return row

    def _turn(self, audio: Samples) -> Turn:
        return Turn(audio, expected_of(self._args.models / self._args.model, audio))


def with_transport(row: LoadResult, alone: LoadResult) -> LoadResult:
    """A result beside that of the same load on the server that does nothing."""
    if alone.failed:
        return row
    ratio = round(row.cpu_ms_per_stream_s / max(alone.cpu_ms_per_stream_s, 1e-3), 2)
    return replace(row, transport_alone=alone.cpu_ms_per_stream_s, of_transport=ratio)


def holds(row: LoadResult) -> bool:
    """Whether a load was carried: every detection at its frame, p99 within the limit."""
    return row.found == row.expected and row.p99_ms is not None and row.p99_ms <= P99_LIMIT_MS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(prog="rc-bench", description="Measure what a server carries on this machine.")
    parser.add_argument("--models", type=Path, default=models_directory(), help="(default: %(default)s)")
    parser.add_argument("--model", default=BUNDLED_MODEL, help="(default: %(default)s)")
    parser.add_argument(
        "--streams", type=positive_count, nargs="+", default=[1, 10, 50, 100], help="(default: %(default)s)"
    )
    parser.add_argument("--seconds", type=positive, default=24.0, help="audio of each stream (default: %(default)s)")
    parser.add_argument(
        "--chunk-ms", type=positive, nargs="+", default=[40.0], help="audio in one message (default: %(default)s)"
    )
    parser.add_argument(
        "--sockets",
        type=positive_count,
        nargs="+",
        default=[],
        metavar="N",
        help="also on N sockets that streams share",
    )
    silent = "streams that take turns too, each silent for this share of the time, such as 0.8"
    parser.add_argument("--silent", type=share, metavar="SHARE", help=silent)
    parser.add_argument(
        "--find-capacity", action="store_true", help=f"more streams until p99 passes {P99_LIMIT_MS:g} ms"
    )
    parser.add_argument("--transport", action="store_true", help="also on a server that does nothing with audio")
    early = "also with early detections, streams with and without in turn, in ROUNDS rounds (default: %(const)s)"
    parser.add_argument("--early", type=positive_count, nargs="?", const=DEFAULT_ROUNDS, metavar="ROUNDS", help=early)
    parser.add_argument(
        "--files", type=positive_count, metavar="N", help="classify N one-second files too, WAV and FLAC"
    )
    into = f"put the tables between the marks {', '.join(SECTIONS)}; data.json beside FILE has all of {SECTIONS[0]}"
    parser.add_argument("--into", type=Path, metavar="FILE", help=into)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args(argv)


def share(text: str) -> float:
    """The share of the time in which one of several streams that take turns is silent: 0.5, 0.75, 0.8, ..."""
    if not 0.5 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 0.5 to below 1, got {text}")
    return float(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    args = parse(argv)
    command = shlex.join(["rc-bench", *(sys.argv[1:] if argv is None else argv)])
    return run_command("rc-bench", lambda: bench(args, command))


def bench(args: argparse.Namespace, command: str) -> int:
    """Measure, and print or write the report."""
    rows = run(args)
    files = measure_files(args.models / args.model, read_audio(RECORDING), args.files) if args.files else ()
    early = run_early(args) if args.early else ()
    report = BenchReport(command, f"{datetime.now(UTC):%Y-%m-%d}, {this_machine()}", rows, tuple(files), early)
    if args.into and write_into(args.into, report):
        args.into.with_name("data.json").write_text(report.to_json() + "\n")
    print(report.to_json() if args.json else report.to_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
