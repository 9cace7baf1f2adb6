"""How many recordings a new word needs: models from so many of each, with and without the weights of another model.

Each is trained as `rc-train speech` does, from a folder with links to the clips that it may have. Training and
validation clips are counted together; every test clip of the words is measured on.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.model import Model
from training.data import recordings as sc
from training.evaluation.clips import decide, hear, measure
from training.recipe import load_checkpoint, train_and_export

BASE = "models/speech-commands-rc/weights.pt"
WANTED = 0.95  # accuracy
WAYS = {"with --from": True, "from nothing": False}


def own_words(folder: Path, words: Sequence[str], sizes: Sequence[int], base: str, out: Path) -> dict[str, Any]:
    """Figures of a model for each number of clips and each of WAYS; those measured before are taken as they are."""
    points = []
    runs = out / "-".join(words)
    for size in sizes:
        data = linked(folder, words, size, runs / f"{size}-clips")
        for way, begun in WAYS.items():
            run = runs / f"{size}-{'base' if begun else 'new'}"
            points.append({"clips": size, "way": way, **point(data, words, base if begun else "", run)})
    return {"words": list(words), "data": folder.name, "base": base, "points": points}


def point(data: Path, words: Sequence[str], base: str, run: Path) -> dict[str, Any]:
    """Train, or go on, and measure; or what was measured."""
    file = run / "measured.json"
    if not file.is_file():
        resume = (run / "last.pt").is_file()
        settings = {"base": base, "epochs": 0}
        train_and_export(data, words, [], [], [], settings, "conv", "auto", resume, run)
        file.write_text(json.dumps(figures(data, run)) + "\n")
    return json.loads(file.read_text())


def figures(data: Path, run: Path) -> dict[str, Any]:
    """Of a model on the test clips of `data`, at speed balanced in mode utterance; and CPU minutes of its training."""
    model = Model(run)
    keywords = model.metadata.keywords
    clips, samples, _ = sc.read_clips(sc.find_clips(data, "test"))
    heard = hear(model, samples, [clip.word if clip.word in keywords else sc.UNKNOWN for clip in clips])
    answers = decide(model, heard, model.metadata.speeds["balanced"]["utterance"])
    said = [(clip.target, answer.label) for clip, answer in zip(heard, answers, strict=True)]
    found = measure(heard, answers)
    return {
        "clips_tested": found["clips"],
        "words_tested": sum(target in keywords for target, _ in said),
        "accuracy": found["accuracy"],
        "decision_time_s": found["decision_time_s"]["mean"],
        "words_heard": share([label == target for target, label in said if target in keywords]),
        "others_taken": share([label in keywords for target, label in said if target not in keywords]),
        "cpu_minutes": round(sum(row["cpu_s"] for row in load_checkpoint(run / "last.pt")["history"]) / 60, 1),
    }


def share(true: Sequence[bool]) -> float:
    return round(float(np.mean(true)), 4)


def linked(folder: Path, words: Sequence[str], size: int, out: Path) -> Path:
    """A folder of links: `size` clips of each word, about as many of other words, background, and clips to test on."""
    validation = max(1, round(size * sc.VALIDATION / (100 - sc.TESTING)))
    for split, count in (("train", size - validation), ("validation", validation), ("test", None)):
        for clip in chosen(sc.find_clips(folder, split), words, count):
            link(clip.path, out / clip.word / clip.path.name)
    for path in (folder / sc.BACKGROUND).glob("*"):
        link(path, out / sc.BACKGROUND / path.name)
    return out


def chosen(clips: Sequence[sc.Clip], words: Sequence[str], count: int | None) -> list[sc.Clip]:
    """At most `count` clips of each word (None: all), always the same; the other words share as many among them."""
    ordered = sorted(clips, key=lambda clip: sc.percent_of(clip.path.name))
    kept = {word: [clip for clip in ordered if clip.word == word] for word in {clip.word for clip in clips}}
    own = {word: found[:count] for word, found in kept.items() if word in words}
    each = math.ceil(sum(map(len, own.values())) / max(1, len(kept) - len(own)))
    return [clip for word, found in kept.items() for clip in own.get(word, found[:each])]


def link(path: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(path.resolve())


def write(found: dict[str, Any], out: Path) -> None:
    """README.md, data.json and curve.png in `out`."""
    (out / "data.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "README.md").write_text(table(found))
    plot(found["points"], out / "curve.png")


def table(found: dict[str, Any]) -> str:
    rows = [
        "| clips a word | weights | accuracy | words heard | others taken for one | mean decision time | CPU |",
        "| --- " * 7 + "|",
    ]
    for p in found["points"]:
        rows.append(
            f"| {p['clips']} | {p['way']} | {p['accuracy']:.1%} | {p['words_heard']:.1%} | {p['others_taken']:.1%} "
            f"| {1000 * p['decision_time_s']:.0f} ms | {p['cpu_minutes']} min |"
        )
    return "\n".join(
        [
            f"{', '.join(found['words'])} of {found['data']}: {found['points'][0]['words_tested']} of "
            f"{found['points'][0]['clips_tested']} test clips, the rest are other words; speed balanced, utterance. "
            "A ninth of the clips is for validation.",
            f"Weights of `{found['base']}`; a model that comes with this one heard the words among its other words.",
            "",
            *rows,
            "",
            f"`{found['measured']['command']}`, {found['measured']['date']}, {found['measured']['machine']}",
            "",
        ]
    )


def plot(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy against the number of clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for way in WAYS:
        some = [p for p in points if p["way"] == way]
        axes.plot([p["clips"] for p in some], [100 * p["accuracy"] for p in some], marker="o", label=way)
    axes.axhline(100 * WANTED, color="black", linestyle=":")
    axes.set(xscale="log", xlabel="clips a word", ylabel="accuracy on test speakers (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
