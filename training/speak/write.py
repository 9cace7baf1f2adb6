"""A plan carried out: recordings on the disk by several threads, with a manifest that says what is in each file.

A file is written whole, then listed; what is listed and there is not spoken again. Plays nothing.
"""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import soundfile

from training.model.frontend import SAMPLE_RATE
from training.speak.delivery import Delivery, deliver
from training.speak.engines import Engine
from training.speak.plan import SPEECH, Synthesis

MANIFEST = "manifest.csv"
COLUMNS = ("file", "word", "text", "engine", "voice", "rate", "semitones", "tempo")
QUEUED = 4  # syntheses on their way per worker

Progress = Callable[[int, int], None]  # recordings done, recordings in total


def speak_plan(plan: Sequence[Synthesis], engine: Engine, folder: Path, workers: int, progress: Progress) -> int:
    """Write all recordings of a plan that the folder lacks; returns how many it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = {row["file"] for row in read_manifest(folder)}
    present = {file for file in listed if (folder / file).is_file()}
    missing = [s for s in plan if any(recording.file not in present for recording in s.recordings)]
    total = sum(len(synthesis.recordings) for synthesis in plan)
    done = written = 0
    done = total - sum(len(synthesis.recordings) for synthesis in missing)
    progress(done, total)
    with (folder / MANIFEST).open("a", newline="") as file, ThreadPoolExecutor(workers) as pool:
        manifest = csv.writer(file)
        if not file.tell():
            manifest.writerow(COLUMNS)
        for synthesis in as_finished(missing, engine, folder, pool, workers):
            manifest.writerows(row for row in manifest_rows(synthesis, engine) if row[0] not in listed)
            file.flush()
            written += len(synthesis.recordings)
            progress(done + written, total)
    write_transcripts(folder)
    return written


def as_finished(
    missing: Sequence[Synthesis], engine: Engine, folder: Path, pool: ThreadPoolExecutor, workers: int
) -> Iterator[Synthesis]:
    """Each synthesis when its recordings are written; only few wait for a thread, so that Ctrl-C ends soon."""
    waiting, running = iter(missing), set[Future[Synthesis]]()
    try:
        while True:
            while len(running) < QUEUED * workers and (synthesis := next(waiting, None)):
                running.add(pool.submit(write_recordings, synthesis, engine, folder))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    finally:
        for future in running:
            future.cancel()


def write_recordings(synthesis: Synthesis, engine: Engine, folder: Path) -> Synthesis:
    """Speak one text and write its recordings."""
    speech = engine.speak(synthesis.text, synthesis.voice, synthesis.rate)
    for index, recording in enumerate(synthesis.recordings):
        samples = deliver(speech, recording.delivery, bool(synthesis.word), np.random.default_rng(index))
        path = folder / recording.file
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        soundfile.write(part, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        os.replace(part, path)
    return synthesis


def manifest_rows(synthesis: Synthesis, engine: Engine) -> list[tuple[str, ...]]:
    def row(file: str, delivery: Delivery) -> tuple[str, ...]:
        changes = (synthesis.rate, delivery.semitones, delivery.tempo)
        return (file, synthesis.word, synthesis.text, engine.name, str(synthesis.voice), *(f"{x:g}" for x in changes))

    return [row(recording.file, recording.delivery) for recording in synthesis.recordings]


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """The rows of a folder's manifest; none where it has none."""
    path = folder / MANIFEST
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row.get("tempo")]  # a row cut off by a full disk has none


def write_transcripts(folder: Path) -> None:
    """The two tables of running speech that `--speech` reads; no keyword is spoken in it."""
    speech = folder / SPEECH
    rows = [row for row in read_manifest(folder) if row["file"].startswith(f"{SPEECH}/")]
    if not rows:
        return
    with (speech / "transcripts.tsv").open("w", newline="") as file:
        texts = ((row["file"].removeprefix(f"{SPEECH}/"), row["text"]) for row in rows)
        csv.writer(file, delimiter="\t").writerows([("file", "text"), *texts])
    (speech / "keyword_times.tsv").write_text("file\tword\tstart_s\tend_s\n")
