"""Misses against false alarms of this model and of PocketSphinx, on the same test streams, judged by the same code.

    python -m tests.peers.accuracy --data-dir D --noise N M --rooms R --speech S --out docs/results/spotting

PocketSphinx spots the keywords of our bundled model, at several thresholds; it tells a word 0.1 s after its end.
openWakeWord knows none of them.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.audio import Samples
from service.spotting.model import Model
from tests.peers.engines import MODEL
from tests.peers.environment import FOLDER, PEERS, hear, peers_python
from training.cli import add_data, add_running_speech, add_surroundings
from training.data.corpus import Corpus, WordSpan, read_material
from training.evaluation import stream_scores as hearing
from training.evaluation.matching import figures, match_detections
from training.evaluation.stream_scores import Detected
from training.evaluation.streams import streams_of, sweep
from training.model.frontend import SAMPLE_RATE
from training.reports import model_card as report

STREAMS = ("clean", "10 dB", "speech")
THRESHOLDS = ("1e-5", "1", "1e5", "1e10", "1e15", "1e20")
TOLD = 12  # rows of an engine on the page; all are in the file beside it
QUIET = 0.5  # where no false alarms are drawn
COLUMNS = ("", "threshold", "misses clean", "misses 10 dB", "false alarms an hour in speech")

Told = Callable[[Samples, str], list[Detected]]
Row = dict[str, Any]


def ours(model: Model, material: Corpus, hours: float) -> list[Row]:
    """A row a threshold scale of `balanced`."""
    streams = streams_of(material, hours, seed=0)
    points = sweep(model, hearing.hear(model, {name: streams[name] for name in STREAMS}))
    return [row(model.metadata.name, f"balanced {point['scale']:+g}", point) for point in points]


def theirs(told: Told, keywords: Sequence[str], material: Corpus, hours: float) -> list[Row]:
    """A row a threshold of PocketSphinx, two streams at a time."""
    streams = {name: stream for name, stream in streams_of(material, hours, seed=0).items() if name in STREAMS}
    heard = {name: list(scenes) for name, scenes in streams.items()}
    audio = {name: np.concatenate([scene.samples for scene in scenes]) for name, scenes in heard.items()}
    words = {name: list(said(scenes)) for name, scenes in heard.items()}

    def point(threshold: str) -> Row:
        found = {}
        for name in STREAMS:
            verdicts = match_detections(words[name], told(audio[name], threshold))
            found[name] = figures(words[name], verdicts, len(audio[name]) / SAMPLE_RATE, keywords)
        return row(f"PocketSphinx {PEERS['pocketsphinx']}", threshold, found)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(point, THRESHOLDS))


def said(scenes: Sequence[Any]) -> Iterator[WordSpan]:
    """The words of scenes that follow each other."""
    length = 0
    for scene in scenes:
        yield from (word.later(length / SAMPLE_RATE) for word in scene.words)
        length += len(scene.samples)


def row(engine: str, threshold: str, found: Mapping[str, Any]) -> Row:
    misses = (found[name]["misses"] for name in ("clean", "10 dB"))
    return dict(zip(COLUMNS, (engine, threshold, *misses, found["speech"]["false_alarms_per_hour"]), strict=True))


def write(facts: Mapping[str, Any], out: Path) -> None:
    """README.md, data.json and det.png in `out`."""
    (out / "data.json").write_text(json.dumps(facts, indent=1) + "\n")
    (out / "README.md").write_text(page(facts["rows"], facts["measured"]))
    plot(facts["rows"], out / "det.png")


def page(rows: Sequence[Row], measured: Mapping[str, Any]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- " * len(COLUMNS) + "|"]
    for each in (row for group in by_engine(rows).values() for row in group[:: -(-len(group) // TOLD)]):
        engine, threshold, clean, noisy, alarms = each.values()
        lines.append(f"| {engine} | {threshold} | {clean:.1%} | {noisy:.1%} | {alarms:g} |")
    about = f"`{measured['command']}`, {measured['date']}, {measured['machine']}"
    return "\n".join([*lines, "", "![misses against false alarms](det.png)", "", about, ""])


def by_engine(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for each in rows:
        groups.setdefault(each[COLUMNS[0]], []).append(each)
    return groups


def plot(rows: Sequence[Row], path: Path) -> None:
    """Misses against false alarms, clean and in noise, an engine a colour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    for color, (engine, group) in enumerate(by_engine(rows).items()):
        alarms = [max(QUIET, each[COLUMNS[4]]) for each in group]
        for column, style in ((COLUMNS[2], "-"), (COLUMNS[3], ":")):
            misses = [100 * each[column] for each in group]
            axes.plot(alarms, misses, style, color=f"C{color}", marker=".", label=f"{engine}, {column}")
    axes.set(xscale="log", xlabel=f"{COLUMNS[4]}; {QUIET}: none", ylabel="misses (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.accuracy")
    add_data(parser)
    add_surroundings(parser)
    add_running_speech(parser)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--hours", type=float, default=0.5, help="of each stream (0.5)")
    parser.add_argument("--out", type=Path, required=True, help="folder for README.md, data.json and det.png")
    parser.add_argument("--venv", type=Path, default=FOLDER, help="where PocketSphinx is installed (build/peers)")
    given = parser.parse_args(argv)
    model, python = Model(MODEL), peers_python(given.venv)
    keywords = model.metadata.keywords
    material = read_material(given.data_dir, keywords, given.split, given.noise, given.rooms, given.speech)

    def told(audio: Samples, threshold: str) -> list[Detected]:
        found = hear(python, "pocketsphinx", audio, "--threshold", threshold)["told"]
        return [Detected(one["label"], one["told_s"]) for one in found]

    rows = ours(model, material, given.hours) + theirs(told, keywords, material, given.hours)
    command = f"{parser.prog} {shlex.join(sys.argv[1:] if argv is None else argv)}"
    facts = {"rows": rows, "measured": report.facts(command, 0)}
    write(facts, given.out)
    print((given.out / "README.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
