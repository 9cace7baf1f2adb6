"""Misses against false alarms of this model and of PocketSphinx, on the same test streams, matched by the same code.

    python -m tests.peers.accuracy --data-dir D --noise N M --rooms R --speech S --out docs/results/spotting

PocketSphinx spots the keywords of our bundled model, at several thresholds; it reports a word 0.1 s after its end.
openWakeWord knows none of them.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field

from service.spotting.audio import Samples
from service.spotting.model import Model
from tests.peers.engines import MODEL
from tests.peers.environment import FOLDER, PEERS, peers_python, run_engine
from training.data.corpus import Corpus, WordSpan, read_corpus
from training.data.labels import Labels
from training.data.recordings import read_split
from training.data.sources import DataSources
from training.data.synthetic_streams import Scene
from training.evaluation.matching import match_detections
from training.evaluation.stream_metrics import stream_metrics
from training.evaluation.stream_report import ErrorRates
from training.evaluation.stream_scores import DetectedWord, score_streams
from training.evaluation.streams import streams_of, sweep
from training.model.frontend import SAMPLE_RATE
from training.records import Record
from training.reports.markdown import markdown_table, percent
from training.reports.provenance import Provenance, provenance

STREAMS = ("clean", "10 dB", "speech")
THRESHOLDS = ("1e-5", "1", "1e5", "1e10", "1e15", "1e20")
MAX_ROWS = 12  # per engine on the page; all are in the file beside it
NO_ALARMS = 0.5  # where a logarithmic axis has no false alarms
CLEAN, NOISY, ALARMS = "misses clean", "misses 10 dB", "false alarms per hour in speech"

Detect = Callable[[Samples, str], list[DetectedWord]]


@dataclass(frozen=True)
class SpottingRow(Record):
    """An engine at one threshold."""

    engine: Annotated[str, Field(validation_alias=AliasChoices("engine", ""))]
    threshold: str
    misses_clean: Annotated[float | None, Field(validation_alias=AliasChoices("misses_clean", CLEAN))]
    misses_10_db: Annotated[float | None, Field(validation_alias=AliasChoices("misses_10_db", NOISY))]
    false_alarms_per_hour: Annotated[
        float, Field(validation_alias=AliasChoices("false_alarms_per_hour", "false alarms an hour in speech"))
    ]


@dataclass(frozen=True)
class SpottingResult(Record):
    rows: list[SpottingRow]
    measured: Provenance


def our_rows(model: Model, corpus: Corpus, hours: float) -> list[SpottingRow]:
    """One row per threshold scale of `balanced`."""
    streams = streams_of(corpus, hours, seed=0)
    points = sweep(model, score_streams(model, {name: streams[name] for name in STREAMS}))
    return [
        row(
            model.metadata.name,
            f"balanced {point.scale:+g}",
            {name: ErrorRates(s.misses, s.false_alarms_per_hour) for name, s in point.streams.items()},
        )
        for point in points
    ]


def peer_rows(detect: Detect, keywords: Sequence[str], corpus: Corpus, hours: float) -> list[SpottingRow]:
    """One row per threshold of PocketSphinx, two streams at a time."""
    streams = {name: list(scenes) for name, scenes in streams_of(corpus, hours, seed=0).items() if name in STREAMS}
    audio = {name: np.concatenate([scene.samples for scene in scenes]) for name, scenes in streams.items()}
    words = {name: list(words_of(scenes)) for name, scenes in streams.items()}

    def at(threshold: str) -> SpottingRow:
        rates = {}
        for name in STREAMS:
            matches = match_detections(words[name], detect(audio[name], threshold))
            metrics = stream_metrics(words[name], matches, len(audio[name]) / SAMPLE_RATE, keywords)
            rates[name] = ErrorRates(metrics.misses, metrics.false_alarms_per_hour)
        return row(f"PocketSphinx {PEERS['pocketsphinx']}", threshold, rates)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(at, THRESHOLDS))


def words_of(scenes: Iterable[Scene]) -> Iterator[WordSpan]:
    """The words of scenes that follow each other."""
    length = 0
    for scene in scenes:
        yield from (word.later(length / SAMPLE_RATE) for word in scene.words)
        length += len(scene.samples)


def row(engine: str, threshold: str, rates: Mapping[str, ErrorRates]) -> SpottingRow:
    clean, noisy, speech = (rates[name] for name in STREAMS)
    return SpottingRow(engine, threshold, clean.misses, noisy.misses, speech.false_alarms_per_hour)


def write(result: SpottingResult, out: Path) -> None:
    """README.md, data.json and det.png in `out`."""
    result.write(out / "data.json")
    (out / "README.md").write_text(page(result))
    plot(result.rows, out / "det.png")


def page(result: SpottingResult) -> str:
    table = markdown_table(
        ("", "threshold", CLEAN, NOISY, ALARMS),
        (
            (r.engine, r.threshold, percent(r.misses_clean), percent(r.misses_10_db), f"{r.false_alarms_per_hour:g}")
            for rows in by_engine(result.rows).values()
            for r in rows[:: -(-len(rows) // MAX_ROWS)]
        ),
    )
    return "\n".join([*table, "", "![misses against false alarms](det.png)", "", str(result.measured), ""])


def by_engine(rows: Sequence[SpottingRow]) -> dict[str, list[SpottingRow]]:
    groups: dict[str, list[SpottingRow]] = {}
    for of_engine in rows:
        groups.setdefault(of_engine.engine, []).append(of_engine)
    return groups


def plot(rows: Sequence[SpottingRow], path: Path) -> None:
    """Misses against false alarms, clean and in noise, one colour per engine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for color, (engine, group) in enumerate(by_engine(rows).items()):
        alarms = [max(NO_ALARMS, r.false_alarms_per_hour) for r in group]
        for name, misses, style in (
            (CLEAN, [r.misses_clean for r in group], "-"),
            (NOISY, [r.misses_10_db for r in group], ":"),
        ):
            shares = [100 * (share or 0) for share in misses]
            axes.plot(alarms, shares, style, color=f"C{color}", marker=".", label=f"{engine}, {name}")
    axes.set(xscale="log", xlabel=f"{ALARMS}; {NO_ALARMS}: none", ylabel="misses (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.accuracy")
    DataSources.add_arguments(parser)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--hours", type=float, default=0.5, help="length of each stream (0.5)")
    parser.add_argument("--out", type=Path, required=True, help="folder for README.md, data.json and det.png")
    parser.add_argument("--venv", type=Path, default=FOLDER, help="where PocketSphinx is installed (build/peers)")
    args = parser.parse_args(argv)
    sources, model, python = DataSources.from_args(args), Model(MODEL), peers_python(args.venv)
    labels = Labels(model.metadata.keywords)
    corpus = read_corpus(sources, labels, args.split, read_split(sources.recordings, args.split))

    def detect(audio: Samples, threshold: str) -> list[DetectedWord]:
        result = run_engine(python, "pocketsphinx", audio, "--threshold", threshold)
        return [DetectedWord(detection["label"], detection["reported_s"]) for detection in result["detections"]]

    rows = our_rows(model, corpus, args.hours) + peer_rows(detect, labels.keywords, corpus, args.hours)
    command = f"{parser.prog} {shlex.join(sys.argv[1:] if argv is None else argv)}"
    write(SpottingResult(rows, provenance(command, 0)), args.out)
    print((args.out / "README.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
