"""How many one-second clips a core classifies, decoding included, in batches and one by one."""

import io
from pathlib import Path
from time import process_time
from typing import Any

import soundfile

from service.spotting.audio import Samples
from service.spotting.classify import classify_encoded
from service.spotting.model import Model

FORMATS = ("WAV", "FLAC")
SAMPLE_RATE = 16000

Encoded = list[tuple[str, bytes]]


def measure_files(folder: Path, audio: Samples, count: int) -> list[dict[str, Any]]:
    """A row for each format: clips a CPU second, the same clips all together and one after another.

    `audio`: float32 [samples] that the clips are cut from, from the start again at its end.
    """
    model = Model(folder)
    rows = []
    for kind in FORMATS:
        files = clips(audio, count, kind)
        together = seconds(model, [files])
        single = seconds(model, [[file] for file in files])
        rows.append(
            {
                "format": kind,
                "clips": count,
                "clips_per_cpu_s": round(count / together),
                "one_by_one": round(count / single),
                "ratio": round(single / together, 2),
            }
        )
    return rows


def clips(audio: Samples, count: int, kind: str) -> Encoded:
    """One-second files as they would lie on a disk."""
    files = []
    for i in range(count):
        start = i * SAMPLE_RATE // 2 % (len(audio) - SAMPLE_RATE)
        file = io.BytesIO()
        soundfile.write(file, audio[start : start + SAMPLE_RATE], SAMPLE_RATE, format=kind)
        files.append((f"{i}.{kind.lower()}", file.getvalue()))
    return files


def seconds(model: Model, batches: list[Encoded]) -> float:
    """CPU seconds that it takes to classify all of them."""
    classify_encoded(model, batches[0])  # the first is slow
    began = process_time()
    for batch in batches:
        classify_encoded(model, batch)
    return process_time() - began
