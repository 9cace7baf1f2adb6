"""One engine on one recording in a process of its own: its detections and its CPU time as JSON.

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

from tests.peers.engines import BYTES_PER_S, CHUNK_MS, ENGINES, EngineDetection, PeerEngine

CHUNK = BYTES_PER_S * CHUNK_MS // 1000


def run(engine: PeerEngine, pcm: bytes, warm_s: float = 0.0) -> dict[str, Any]:
    """Push all whole chunks; `cpu_ms` is per second of the audio after the warm-up, of all threads of the process."""
    warm, end = round(warm_s * 1000 / CHUNK_MS) * CHUNK, len(pcm) // CHUNK * CHUNK
    detections = push(engine, pcm[:warm])
    started = time.process_time()
    detections += push(engine, pcm[warm:end])
    cpu_s, audio_s = time.process_time() - started, (end - warm) / BYTES_PER_S
    return {"cpu_ms": 1000 * cpu_s / audio_s, "detections": [asdict(detection) for detection in detections]}


def push(engine: PeerEngine, pcm: bytes) -> list[EngineDetection]:
    chunks = (pcm[start : start + CHUNK] for start in range(0, len(pcm), CHUNK))
    return [detection for chunk in chunks for detection in engine.push(chunk)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("pcm", type=Path, help="16-bit mono samples at 16 kHz, no header")
    parser.add_argument("--threshold", type=float, help="(default: the engine's own)")
    parser.add_argument("--warm-s", type=float, default=0.0)
    args = parser.parse_args(argv)
    settings = {} if args.threshold is None else {"threshold": args.threshold}
    json.dump(run(ENGINES[args.engine](**settings), args.pcm.read_bytes(), args.warm_s), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
