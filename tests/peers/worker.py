"""One engine on one recording in a process of its own: what it told, and the CPU time it took, as JSON.

Run by environment.py with either Python; loading and the first `--warm-s` of the audio are not counted.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.peers.engines import BYTES_A_S, CHUNK_MS, ENGINES, Engine, Told

CHUNK = BYTES_A_S * CHUNK_MS // 1000


def run(engine: Engine, pcm: bytes, warm_s: float = 0.0) -> dict[str, Any]:
    """Push all whole pieces of it; `cpu_ms` a second of the audio after the warming, of all threads of the process."""
    warm, end = round(warm_s * 1000 / CHUNK_MS) * CHUNK, len(pcm) // CHUNK * CHUNK
    told = push(engine, pcm[:warm])
    began = time.process_time()
    told += push(engine, pcm[warm:end])
    cpu_s, audio_s = time.process_time() - began, (end - warm) / BYTES_A_S
    return {"cpu_ms": 1000 * cpu_s / audio_s, "told": [asdict(one) for one in told]}


def push(engine: Engine, pcm: bytes) -> list[Told]:
    return [one for start in range(0, len(pcm), CHUNK) for one in engine.push(pcm[start : start + CHUNK])]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("pcm", type=Path, help="16-bit mono samples at 16 kHz, no header")
    parser.add_argument("--threshold", type=float, help="(default: the engine's own)")
    parser.add_argument("--warm-s", type=float, default=0.0)
    given = parser.parse_args(argv)
    settings = {} if given.threshold is None else {"threshold": given.threshold}
    json.dump(run(ENGINES[given.engine](**settings), given.pcm.read_bytes(), given.warm_s), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
