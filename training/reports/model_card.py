"""A model's report as files beside it: report.json, the model card, plots. Every number comes from the report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from service.spotting.metadata import Metadata
from training.data.sources import SYNTHETIC_VOICES
from training.evaluation.operating_points import OperatingPoint
from training.reports import stream_section
from training.reports.markdown import markdown_table, milliseconds, percent
from training.reports.model_report import ModelReport

Curve = Sequence[OperatingPoint]
SYNTHETIC_LIMITS = [
    "- Trained on synthetic voices. Figures of the keywords are of other synthetic voices as far as there are no real "
    "recordings of them: people are more varied, so expect more misses. Figures of real speech and noise hold. "
    "Measure with recordings of your own before you rely on it, and train with them: `--recordings`, `--captures`.",
]


def write_model_files(meta: Metadata, report: ModelReport, folder: Path) -> None:
    """report.json, the model card README.md and its plots in the folder of the model."""
    report.write(folder / "report.json")
    (folder / "README.md").write_text(model_card(meta, report))
    marks = {speed: (metrics.decision_time_s.mean, metrics.accuracy) for speed, metrics in report.speeds.items()}
    plot_curves({meta.name: [report.curve]}, marks, folder / "curve.png")
    if report.streams:
        stream_section.plot(report.streams, folder)


def model_card(meta: Metadata, report: ModelReport) -> str:
    """What the model is, on what data it was trained and measured, and how well it does."""
    return "\n".join([*card_head(meta, report), *card_figures(report), *card_limits(meta, report)]) + "\n"


def card_head(meta: Metadata, report: ModelReport) -> list[str]:
    others = [label for label in meta.labels if label not in meta.keywords]
    return [
        f"# {meta.name}",
        "",
        f"Keywords: {', '.join(meta.keywords)}. Other labels: {', '.join(others)}.",
        "",
        f"- A frame of scores every {meta.frame_ms:g} ms; look-ahead {meta.look_ahead_ms:g} ms, included in all times.",
        f"- Trained with method `{meta.method}`, threshold {meta.theta:g}, beta {meta.beta:g}, seed {meta.seed}, "
        f"commit `{meta.commit}`.",
        f"- Training data: {meta.data}",
        f"- Measured on: {report.data.split} split of {report.data.name}, {report.data.clips} clips, "
        f"{report.data.speakers or 'unnamed'} speakers.",
        "",
        "This page and `report.json` are written by the command below; no figure is written by hand.",
        "",
        "```",
        report.measured.command,
        "```",
        "",
        f"{report.measured.date}, {report.measured.machine}, model sha256 `{report.sha256[:16]}`.",
    ]


def card_figures(report: ModelReport) -> list[str]:
    lines = [
        "",
        "## Clips",
        "",
        "`decision time` is how much of the clip the answer needed, look-ahead included.",
        "",
        *markdown_table(
            ("speed", "threshold", "of other labels", "accuracy", "mean decision time", "p10", "p50", "p90", "crossed"),
            speed_rows(report),
        ),
        "",
        "Per label, at `balanced`:",
        "",
        *markdown_table(
            ("label", "clips", "recall", "precision", "p50"),
            (
                (
                    label,
                    metrics.clips,
                    percent(metrics.recall),
                    percent(metrics.precision),
                    milliseconds(metrics.decision_time_p50_s),
                )
                for label, metrics in report.labels.items()
            ),
        ),
        "",
        "![accuracy against decision time](curve.png)",
    ]
    return lines + (stream_section.section(report.streams) if report.streams else [])


def speed_rows(report: ModelReport) -> Iterator[Sequence[object]]:
    for speed, metrics in report.speeds.items():
        times = [milliseconds(seconds) for seconds in vars(metrics.decision_time_s).values()]
        yield (
            speed,
            metrics.threshold,
            metrics.other_threshold,
            percent(metrics.accuracy),
            *times,
            percent(metrics.crossed),
        )


def card_limits(meta: Metadata, report: ModelReport) -> list[str]:
    lines = ["", "## Measured separately", ""]
    for name, table in report.separate.items():
        for target, answers in table.items():
            total = sum(answers.values())
            wrong = total - answers.get(target, 0)
            lines.append(f"- {name}: {total} clips, {wrong} ({wrong / total:.1%}) answered as other than {target}.")
    return [
        *lines,
        "",
        "## Limits",
        "",
        *(SYNTHETIC_LIMITS if SYNTHETIC_VOICES in meta.data else []),
        *([] if report.streams else ["- Measured on single words of one second, not in continuous speech."]),
        "- An early answer is uncertain for a word that is short or the beginning of others (go, no, up).",
    ]


def plot_curves(curves: Mapping[str, Sequence[Curve]], marks: Mapping[str, tuple[float, float]], path: Path) -> None:
    """Accuracy against mean decision time: one colour per name, one line per curve, some points marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for color, (name, of_name) in zip(("tab:blue", "tab:orange", "tab:green"), curves.items(), strict=False):
        for i, curve in enumerate(of_name):
            ordered = sorted(curve, key=lambda point: point.decision_time_s)
            times = [1000 * point.decision_time_s for point in ordered]
            accuracies = [100 * point.accuracy for point in ordered]
            axes.plot(times, accuracies, color=color, alpha=0.9, marker=".", label=name if i == 0 else None)
    for name, (time, accuracy) in marks.items():
        axes.plot(1000 * time, 100 * accuracy, "o", color="black")
        axes.annotate(name, (1000 * time, 100 * accuracy), xytext=(6, -12), textcoords="offset points")
    axes.set(xlabel="mean decision time (ms of audio)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
