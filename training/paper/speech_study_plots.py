"""The figures of section 3.4 of the paper. Every number is from the result."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.speech_study import BEST, BLOCK, ONE, StudyResult, StudyRun

BLUES = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08306b")
STYLES: dict[str, dict[str, Any]] = {
    **{f"rc beta 0.{i}": {"color": blue} for i, blue in enumerate(BLUES)},
    BEST: {"color": "tab:red", "linewidth": 2},
    "eos": {"color": "tab:green"},
    "eos beta 0.2": {"color": "tab:green", "linestyle": "--"},
    "eos beta 0.4": {"color": "tab:green", "linestyle": ":"},
    "all-steps": {"color": "tab:orange"},
    "certainty": {"color": "tab:brown"},
    "max-pool": {"color": "tab:purple"},
}
Group = Sequence[StudyRun]  # runs of one kind, one per seed


def cost_share(result: StudyResult, name: str, key: str) -> Any:
    """What each epoch of each seed cost, as a share of the mean EOS epoch of that number, [seeds, epochs]."""
    own, eos = (epochs(result.runs[kind], key) for kind in (name, "eos"))
    return own / eos.mean(axis=0)


def epochs(group: Group, key: str) -> Any:
    """One metric of every epoch of every seed, [seeds, epochs]."""
    return np.array([[getattr(row, key) for row in run.history] for run in group])


def blank(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plot_training(result: StudyResult, path: Path) -> None:
    """Figure 4: accuracy on validation and spike time at the threshold of training, RC left and EOS right."""
    figure = blank(9, 6)
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, kind in enumerate(("rc", "eos")):
        for name in (name for name in result.runs if name == "eos" or name.startswith(kind)):
            draw_epochs(axes[0, column], result.runs[name], "validation_accuracy", 100, **STYLES[name], label=name)
            draw_epochs(axes[1, column], result.runs[name], "validation_spike_s", 1000, **STYLES[name])
    eos = result.runs["eos"]
    draw_epochs(axes[0, 0], eos, "validation_end_accuracy", 100, color="tab:red", label="eos, at the end")
    axes[0, 0].set(title="RC, and EOS beside", ylabel="accuracy (%)")
    axes[1, 0].set(ylabel="mean spike time (ms)")
    for top, bottom in axes.T:
        top.legend(loc="lower right", fontsize="small")
        bottom.set(xlabel="epoch")
    figure.savefig(path, dpi=120)


def draw_epochs(axes: Any, group: Group, key: str, unit: float, **style: Any) -> None:
    """A figure of every epoch, mean over seeds."""
    values = unit * epochs(group, key).mean(axis=0)
    axes.plot(range(1, len(values) + 1), values, **style)


def plot_curves(result: StudyResult, path: Path) -> None:
    """Figure 5: accuracy against mean decision time over θ on test, RC left, the others right, the best β in both."""
    figure = blank(11, 5)
    panels = figure.subplots(1, 2, sharey=True)
    for name, group in result.runs.items():
        for i, run in enumerate(group):
            points = np.array([(1000 * p.decision_time_s, 100 * p.accuracy) for p in run.figures.test.curve])
            panels[int(name[:2] != "rc")].plot(*points.T, **STYLES[name], label=None if i else name)
    for axes in panels:
        draw_compared(axes, result, ONE, BEST, **STYLES[BEST], label=BEST)
        finish(axes)
    figure.savefig(path, dpi=120)


def plot_blocks(result: StudyResult, path: Path) -> None:
    """One threshold and thresholds by block at the same mean times."""
    figure = blank(7, 5)
    axes = figure.subplots()
    for name in (BEST, "rc beta 0.0", "eos"):
        for way, line in ((ONE, "-"), (BLOCK, "--")):
            draw_compared(axes, result, way, name, color=STYLES[name]["color"], linestyle=line, label=f"{name}, {way}")
    finish(axes)
    figure.savefig(path, dpi=120)


def draw_compared(axes: Any, result: StudyResult, way: str, name: str, **style: Any) -> None:
    axes.plot(1000 * np.array(result.seconds), 100 * np.array(result.compared[way][name]).mean(axis=0), **style)


def finish(axes: Any) -> None:
    axes.set(xlabel="mean decision time (ms of audio)", ylabel="accuracy (%)", xlim=(200, 1000))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")


def plot_saving(result: StudyResult, path: Path) -> None:
    """Work and CPU time of every epoch as shares of EOS."""
    figure = blank(9, 4)
    for axes, key, what in zip(figure.subplots(1, 2), ("steps_run", "cpu_s"), ("steps run", "CPU time"), strict=True):
        for name in (name for name in result.runs if name == "eos" or name.startswith("rc")):
            values = cost_share(result, name, key).mean(axis=0)
            axes.plot(range(1, len(values) + 1), values, **STYLES[name], label=name)
        axes.set(title=f"{what}, share of an EOS epoch", xlabel="epoch", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", fontsize="small")
    figure.savefig(path, dpi=120)
