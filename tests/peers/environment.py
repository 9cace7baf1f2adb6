"""A separate Python for the peers, made once in a folder, and an engine's process in it."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.connection import encode
from tests.support.paths import ROOT

FOLDER = ROOT / "build" / "peers"
PEERS = {"openwakeword": "0.4.0", "pocketsphinx": "5.1.1"}


def packages() -> list[str]:
    """What is installed there: openWakeWord gets the onnxruntime that runs our own model."""
    return [f"{name}=={pinned}" for name, pinned in {**PEERS, "onnxruntime": version("onnxruntime")}.items()]


def peers_python(folder: Path = FOLDER) -> Path:
    """The Python of that folder, made first where it is missing or holds other versions."""
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if not done.is_file() or done.read_text().splitlines() != packages():
        print(f"installing {', '.join(packages())} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *packages()], check=True)
        done.write_text("\n".join(packages()))
    return python


def run_engine(python: Path, engine: str, audio: NDArray[np.float32], *options: str) -> dict[str, Any]:
    """Detections and CPU time of the engine on `audio` (float32 mono at 16 kHz), in its own process; see worker.py."""
    with tempfile.TemporaryDirectory() as folder:
        pcm = Path(folder) / "audio.pcm"
        pcm.write_bytes(encode(audio, "pcm_s16le"))
        command = [str(python), "-m", "tests.peers.worker", engine, str(pcm), *options]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"expected {engine} to run on {len(audio)} samples, got:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
