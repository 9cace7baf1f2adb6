"""Figures to files: report.json, the model card, plots. Every number comes from a measurement that is passed in."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.spotting.model import Metadata
from training.reports import stream_section as stream_card

Curve = Sequence[Mapping[str, float]]


def facts(command: str, seed: int) -> dict[str, Any]:
    """When, with what command and on what machine figures were measured."""
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "command": command, "machine": machine, "seed": seed}


def write_model_files(meta: Metadata, report: Mapping[str, Any], folder: Path) -> None:
    """report.json, the model card README.md and its plots beside the model."""
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    write_card(meta, report, folder / "README.md")
    marks = {name: (found["decision_time_s"]["mean"], found["accuracy"]) for name, found in report["speeds"].items()}
    plot_curves({meta.name: [report["curve"]]}, marks, folder / "curve.png")
    if "streams" in report:
        stream_card.plot(report["streams"], folder)


def write_card(meta: Metadata, report: Mapping[str, Any], path: Path) -> None:
    """The model card: what it is, on what data it was trained and measured, and how well it does."""
    path.write_text("\n".join([*card_head(meta, report), *card_figures(report), *card_limits(report)]) + "\n")


def card_head(meta: Metadata, report: Mapping[str, Any]) -> list[str]:
    test = report["data"]
    return [
        f"# {meta.name}",
        "",
        f"Keywords: {', '.join(meta.keywords)}. Other labels: {', '.join(set(meta.labels) - set(meta.keywords))}.",
        "",
        f"- A frame of scores every {meta.frame_ms:g} ms; look-ahead {meta.look_ahead_ms:g} ms, counted in every time.",
        f"- Trained with method `{meta.method}`, threshold {meta.theta:g}, beta {meta.beta:g}, seed {meta.seed}, "
        f"commit `{meta.commit}`.",
        f"- Training data: {meta.data}",
        f"- Measured on: {test['split']} split of {test['name']}, {test['clips']} clips, "
        f"{test['speakers'] or 'unnamed'} speakers.",
        "",
        "This page and `report.json` are written by the command below; no figure is written by hand.",
        "",
        "```",
        report["measured"]["command"],
        "```",
        "",
        f"{report['measured']['date']}, {report['measured']['machine']}, model sha256 `{report['sha256'][:16]}`.",
    ]


def card_figures(report: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        "## Clips",
        "",
        "`decision time` is how much of the clip had to be heard, look-ahead included.",
        "",
        "| speed | threshold | accuracy | mean decision time | p10 | p50 | p90 | crossed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for speed, found in report["speeds"].items():
        time = found["decision_time_s"]
        times = " | ".join(f"{1000 * time[key]:.0f} ms" for key in ("mean", "p10", "p50", "p90"))
        lines.append(f"| {speed} | {found['threshold']} | {found['accuracy']:.1%} | {times} | {found['crossed']:.1%} |")
    lines += ["", "At `balanced`, a label:", "", "| label | clips | recall | precision | p50 |", "| --- " * 5 + "|"]
    for label, found in report["labels"].items():
        lines.append(
            f"| {label} | {found['clips']} | {found['recall']:.1%} | {found['precision']:.1%} "
            f"| {1000 * found['decision_time_p50_s']:.0f} ms |"
        )
    lines += ["", "![accuracy against decision time](curve.png)"]
    return lines + (stream_card.section(report["streams"]) if "streams" in report else [])


def card_limits(report: Mapping[str, Any]) -> list[str]:
    lines = ["", "## Apart", ""]
    for name, table in report["apart"].items():
        for target, answers in table.items():
            total = sum(answers.values())
            wrong = total - answers.get(target, 0)
            lines.append(f"- {name}: {total} clips, {wrong} ({wrong / total:.1%}) answered as other than {target}.")
    return [
        *lines,
        "",
        "## Limits",
        "",
        *([] if "streams" in report else ["- Measured on single words of one second, not in endless speech."]),
        "- Of a word that is short, or the beginning of others (go, no, up), an early answer can't be sure.",
    ]


def plot_curves(curves: Mapping[str, Sequence[Curve]], marks: Mapping[str, tuple[float, float]], path: Path) -> None:
    """Accuracy against mean decision time: one colour a name, one line a curve, some points marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for color, (name, several) in zip(("tab:blue", "tab:orange", "tab:green"), curves.items(), strict=False):
        for i, points in enumerate(several):
            ordered = sorted(points, key=lambda point: point["decision_time_s"])
            times = [1000 * point["decision_time_s"] for point in ordered]
            values = [100 * point["accuracy"] for point in ordered]
            axes.plot(times, values, color=color, alpha=0.9, marker=".", label=name if i == 0 else None)
    for name, (time, accuracy) in marks.items():
        axes.plot(1000 * time, 100 * accuracy, "o", color="black")
        axes.annotate(name, (1000 * time, 100 * accuracy), xytext=(6, -12), textcoords="offset points")
    axes.set(xlabel="mean decision time (ms of audio heard)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
