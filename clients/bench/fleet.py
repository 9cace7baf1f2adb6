"""What many open microphones need, and what a day of them brings: the tables of docs/scaling.md.

    python -m clients.bench.fleet --into docs/scaling.md

Reads what rc-bench and clients.bench.connections measured; the rest is arithmetic (sizing.py) and simulation.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clients.bench.markdown import markdown_table, marks, write_sections
from clients.bench.simulation import Churn, Fleet, Policy, Traffic, rebalance_s
from clients.bench.sizing import Measured, bytes_per_s, needs, read_measured
from clients.commands.options import positive
from service.commands.output import CommandParser, run_command
from service.spotting.pcm import WIDTHS

SECTION = "fleet"
SIZES = (1_000, 100_000, 10_000_000)
SESSIONS_S = (600.0, 3600.0, 8 * 3600.0, float("inf"))
MAX_STREAMS_S = (None, 3600.0, 900.0)
CHUNKS_MS = (20, 40, 100)
LIMIT_S = 24 * 3600.0


@dataclass(frozen=True)
class Scenario:
    """One day."""

    name: str
    policy: Policy = field(default_factory=Policy)
    churn: Churn = field(default_factory=Churn)


SCENARIOS = (
    Scenario("as deployed"),
    Scenario("without --max-stream-s", Policy(max_stream_s=None)),
    Scenario("--max-stream-s 900", Policy(max_stream_s=900.0)),
    Scenario("any server with room, not the emptiest", Policy(balance="random")),
    Scenario("autoscaler at 0.95 of a server's streams", Policy(target=0.95)),
    Scenario("servers start in 5 minutes", churn=Churn(start_s=300.0)),
    Scenario("a third of the servers fails at the peak", churn=Churn(zone_fails_at=16.0)),
    Scenario("the same, autoscaler at 0.6", Policy(target=0.6), Churn(zone_fails_at=16.0)),
)


def sizing_table(measured: Measured, session_s: float) -> str:
    """What 1,000 to 10 million streams need."""
    rows = [list(vars(needs(streams, measured, session_s)).values()) for streams in SIZES]
    return _table(list(vars(needs(1, measured, session_s))), rows)


def bandwidth_table() -> str:
    """Kilobits per second and stream, with and without TLS, by encoding and chunk."""
    rows = [
        [f"`{encoding}`", chunk_ms, *(round(bytes_per_s(encoding, chunk_ms, tls=tls) / 125) for tls in (False, True))]
        for encoding in WIDTHS
        for chunk_ms in CHUNKS_MS
    ]
    return _table(["encoding, 16 kHz", "chunk ms", "kbit/s", "with TLS"], rows)


def rebalance_table(measured: Measured) -> str:
    """Minutes until servers that were added have their share, by length of session and --max-stream-s."""
    head = ["session", *("none" if limit is None else f"--max-stream-s {limit:g}" for limit in MAX_STREAMS_S)]
    rows = []
    for session_s in SESSIONS_S:
        name = "endless" if session_s == float("inf") else f"{session_s / 60:g} min"
        rows.append([name, *(_minutes(rebalance_s(measured, session_s, limit, LIMIT_S)) for limit in MAX_STREAMS_S)])
    return _table(head, rows)


def day_table(measured: Measured, traffic: Traffic, hours: float) -> str:
    """What a day brings in each scenario."""
    head = [
        "scenario",
        "breaks per stream hour",
        "tries refused",
        "streams that lost audio",
        "of sessions",
        "audio lost, s",
        "breaks by overload",
        "over-provisioning",
        "fullest server",
    ]
    rows = []
    for scenario in SCENARIOS:
        result = Fleet(measured, traffic, scenario.policy, scenario.churn).run(3600 * hours)
        provided = result.server_hours * measured.max_streams / result.stream_hours
        breaks = result.broken / result.stream_hours
        counts = [result.refused, result.lost, result.sessions, round(result.lost_s), result.overloaded]
        rows.append([scenario.name, f"{breaks:.2f}", *counts, f"{provided:.2f}", f"{result.fullest:.0%}"])
    return _table(head, rows)


def tables(measured: Measured, traffic: Traffic, hours: float) -> str:
    """All of them, with their headings."""
    parts = [
        ("### What they need", sizing_table(measured, traffic.session_s)),
        ("### Bandwidth of a stream", bandwidth_table()),
        ("### Minutes until added servers have their share", rebalance_table(measured)),
        (f"### A day of {traffic.streams:,} streams", day_table(measured, traffic, hours)),
    ]
    return "\n\n".join(f"{head}\n\n{table}" for head, table in parts)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = CommandParser(prog="python -m clients.bench.fleet", description="Size and simulate a fleet of servers.")
    parser.add_argument("--measured", type=Path, default=Path("docs/results/capacity"), help="(default: %(default)s)")
    parser.add_argument("--streams", type=positive, default=10_000, help="open at the peak (default: %(default)s)")
    parser.add_argument("--session-s", type=positive, default=3600.0, help="on average (default: %(default)s)")
    parser.add_argument("--hours", type=positive, default=24.0, help="of the days (default: %(default)s)")
    parser.add_argument("--into", type=Path, metavar="FILE", help=f"put the tables behind {marks(SECTION)[0]}")
    return parser.parse_args(argv)


def report(args: argparse.Namespace, command: str) -> int:
    """Print or write the tables."""
    measured = read_measured(args.measured)
    traffic = replace(Traffic(), streams=round(args.streams), session_s=args.session_s)
    text = f"{tables(measured, traffic, args.hours)}\n\n`{command}`, from figures of {measured.machine}"
    if args.into:
        write_sections(args.into, {SECTION: text})
    print(text)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    args = parse(argv)
    command = shlex.join(["python", "-m", "clients.bench.fleet", *(sys.argv[1:] if argv is None else argv)])
    return run_command("fleet", lambda: report(args, command))


def _minutes(seconds: float | None) -> str:
    return "never in a day" if seconds is None else f"{seconds / 60:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return markdown_table([name.replace("_", " ") for name in head], (map(_cell, row) for row in rows))


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
