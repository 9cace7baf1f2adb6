"""How many one-second clips a core classifies, decoding included, in batches and one by one."""

import io
from pathlib import Path
from time import process_time

import soundfile

from clients.bench.results import FilesResult
from service.spotting.audio import SAMPLE_RATE, Samples
from service.spotting.classify import classify_encoded
from service.spotting.model import Model

FORMATS = ("WAV", "FLAC")

EncodedFile = tuple[str, bytes]  # name and content


def measure_files(folder: Path, audio: Samples, count: int) -> list[FilesResult]:
    """One result per format: clips per CPU second, the same clips all together and one by one.

    `audio`: float32 [samples] that the clips are cut from, from the start again at its end.
    """
    model = Model(folder)
    results = []
    for file_format in FORMATS:
        files = clips(audio, count, file_format)
        together = cpu_seconds(model, [files])
        single = cpu_seconds(model, [[file] for file in files])
        ratio = round(single / together, 2)
        results.append(FilesResult(file_format, count, round(count / together), round(count / single), ratio))
    return results


def clips(audio: Samples, count: int, file_format: str) -> list[EncodedFile]:
    """One-second files as they would lie on a disk."""
    files = []
    for i in range(count):
        start = i * SAMPLE_RATE // 2 % (len(audio) - SAMPLE_RATE)
        file = io.BytesIO()
        soundfile.write(file, audio[start : start + SAMPLE_RATE], SAMPLE_RATE, format=file_format)
        files.append((f"{i}.{file_format.lower()}", file.getvalue()))
    return files


def cpu_seconds(model: Model, batches: list[list[EncodedFile]]) -> float:
    """CPU seconds that it takes to classify all of them."""
    classify_encoded(model, batches[0])  # the first is slow
    began = process_time()
    for batch in batches:
        classify_encoded(model, batch)
    return process_time() - began
