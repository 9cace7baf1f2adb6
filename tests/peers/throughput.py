"""Streams per core: this server beside openWakeWord and PocketSphinx, on the same speech in one run.

    python -m tests.peers.throughput --out docs/results/peers

Ours is the server, with WebSocket and all; the peers run in process without any transport, which favours them. CPU
time counts, not wall time, yet a busy machine raises that too, of a server more than of a loop: measure on an idle one.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from clients.bench.load import Load
from clients.bench.markdown import markdown_table
from clients.bench.measure import expected_of, measure
from clients.demo.__main__ import RECORDING
from service.machine import Machine, this_machine
from service.spotting.audio import SAMPLE_RATE, Samples
from service.spotting.files import read_audio
from service.testing import HOST, free_port, rc_serve, serving
from tests.peers.engines import CHUNK_MS, MODEL
from tests.peers.environment import FOLDER, PEERS, peers_python, run_engine

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
WARM_S = 12.0  # openWakeWord's buffers are full after 10
SERVER_CHUNK_MS = 40
OUR_ENGINES = {"rank-coding-kws": "this model alone, in process"}
PEER_ENGINES = {
    "openwakeword-one": f"openWakeWord {PEERS['openwakeword']}, one wake word",
    "openwakeword-all": f"openWakeWord {PEERS['openwakeword']}, its five wake words",
    "pocketsphinx": f"PocketSphinx {PEERS['pocketsphinx']}, eight keywords",
}
COLUMNS = ("", "transport", "streams", "ms per chunk", "CPU ms per stream-second", "streams per core", "server carries")
NOTE = (
    "CPU time of each process with all its threads, median of the rounds; loading is not counted. The peers have no "
    "transport, which favours them. openWakeWord knows only the wake words of its wheel."
)
Row = dict[str, Any]


def speech(folder: Path | None, seconds: float) -> Samples:
    """`seconds` of a folder's recordings one after the other, or of the bundled one, repeated.

    SystemExit where there is none.
    """
    files = [RECORDING] if folder is None else sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUNDS)
    wanted = round(seconds * SAMPLE_RATE)
    pieces: list[Samples] = []
    while files and sum(len(piece) for piece in pieces) < wanted:
        pieces.append(read_audio(files[len(pieces) % len(files)], SAMPLE_RATE))
    if not files:
        sys.exit(f"expected recordings ({', '.join(SOUNDS)}) under {folder}, got none")
    return np.concatenate(pieces)[:wanted]


def of_server(port: int, load: Load) -> float:
    """CPU ms per stream-second of a running server under a load; SystemExit where a stream failed."""
    result = measure(port, load)
    print(f"server: {result}", file=sys.stderr)
    if result.failed or result.found < result.expected:
        sys.exit(f"expected all of {load.streams} streams carried, got {result}: try fewer, or an idle machine")
    return result.cpu_ms_per_stream_s


def in_process(python: Path, engine: str, audio: Samples) -> float:
    """CPU ms per second of audio of one stream in a process of its own."""
    cpu_ms = float(run_engine(python, engine, audio, "--warm-s", str(WARM_S))["cpu_ms"])
    print(f"{engine}: {cpu_ms:.3f} ms", file=sys.stderr)
    return cpu_ms


def run(args: argparse.Namespace) -> list[Row]:
    """All of them in turn, round after round."""
    python = peers_python(args.venv)
    audio = speech(args.speech, WARM_S + args.seconds)
    spent: dict[str, list[float]] = {name: [] for name in ("server", *OUR_ENGINES, *PEER_ENGINES)}
    with serving(port := free_port(), rc_serve(port, MODEL.parent, MODEL.name)):
        load = Load(f"ws://{HOST}:{port}/v1/stream", args.streams, audio, SAMPLE_RATE,
                    SERVER_CHUNK_MS / 1000, expected_of(MODEL, audio))  # fmt: skip
        for _ in range(args.rounds):
            spent["server"].append(of_server(port, load))
            for name in OUR_ENGINES:
                spent[name].append(in_process(Path(sys.executable), name, audio))
            for name in PEER_ENGINES:
                spent[name].append(in_process(python, name, audio))
    return rows(spent, args.streams, OUR_ENGINES | PEER_ENGINES)


def rows(spent: dict[str, list[float]], streams: int, titles: dict[str, str]) -> list[Row]:
    """A row for each: the median of its rounds, and how many times its streams the server carries."""
    server = median(spent["server"])
    first = row("this server", "WebSocket", streams, SERVER_CHUNK_MS, spent["server"], server)
    return [first, *(row(titles[name], "none", 1, CHUNK_MS, spent[name], server) for name in titles)]


def row(title: str, transport: str, streams: int, piece_ms: int, rounds: list[float], server: float) -> Row:
    cpu_ms = median(rounds)
    return {
        "name": title,
        "transport": transport,
        "streams": streams,
        "piece_ms": piece_ms,
        "cpu_ms_per_stream_s": round(cpu_ms, 3),
        "streams_per_core": int(1000 / cpu_ms),
        "server_carries": round(cpu_ms / server, 1),
        "rounds": [round(value, 3) for value in rounds],
    }


def report(facts: dict[str, Any]) -> str:
    """The facts as Markdown."""
    cells = ([row[key] for key in list(row)[: len(COLUMNS)]] for row in facts["rows"])
    table = markdown_table(COLUMNS, ([*others, f"{carries} times"] for *others, carries in cells))
    about = (
        f"{facts['measured']}, {Machine(**facts['machine'])} (load {facts['load_average']} before), "
        f"onnxruntime {facts['onnxruntime']}. Speech: {facts['speech']}. By `{facts['command']}`."
    )
    return "\n".join([table, "", NOTE, "", about, ""])


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.peers.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for README.md and data.json")
    parser.add_argument("--speech", type=Path, help="a folder of recordings (default: the bundled one)")
    parser.add_argument("--seconds", type=float, default=48.0, help="audio counted per engine (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=200, help="to the server at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--venv", type=Path, default=FOLDER, help="where the peers are installed (build/peers)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    args, words = parse(argv), sys.argv[1:] if argv is None else argv
    facts = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "command": shlex.join(["python", "-m", "tests.peers.throughput", *words]),
        "speech": f"{args.seconds:g} s of {args.speech.name if args.speech else 'the bundled recording, repeated'}",
        "machine": asdict(this_machine()),
        "load_average": round(os.getloadavg()[0], 1),
        "onnxruntime": version("onnxruntime"),
        "rows": run(args),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "data.json").write_text(json.dumps(facts, indent=1) + "\n")
    (args.out / "README.md").write_text(report(facts))
    print(report(facts), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
