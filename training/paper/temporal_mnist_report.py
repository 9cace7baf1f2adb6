"""How section 3.3 of the paper is reported: README.md, data.json and the figure. Every number is from the result."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.paper import mnist
from training.paper.digits import EARLY, THETA, THRESHOLDS
from training.paper.mnist import STEPS
from training.paper.temporal_mnist import FAST, LOWERED, SLOW, DigitResult, TemporalMnistResult
from training.reports.markdown import markdown_table, mean_and_spread, mean_percent

FAST_SHARE, SLOW_SHARE = 0.05, 0.25  # shares of the frame that are over before the answer: less is fast, more is slow
PAPER = {
    "LSTM 340 fast": "98.14 %",
    "ConvLSTM 10 fast": "98.90 %",
    "ConvLSTM 20 fast": "99.19 %",
    "ConvLSTM 10 slow": "99.16 %",
    "ConvLSTM 20 slow": "99.29 %",
}
SPIKING = {"fast": "97.4 %", "slow": "98.5 %; 99.4 % by one much larger"}  # the best spiking networks of table 1
KINDS = {  # name of runs -> regime, what was done
    "fast": ("fast", f"RC, β {FAST}"),
    "fast varied": ("fast", f"RC, β {FAST}, then varied digits"),
    "fast lowered": ("fast", f"RC, β {FAST}, then varied digits, then β {LOWERED}"),
    "switched": ("fast", f"RC, β {SLOW}, then {FAST}"),
    "slow": ("slow", f"RC, β {SLOW}"),
    "slow varied": ("slow", f"RC, β {SLOW}, then varied digits"),
    "eos": ("end", "EOS, at the end"),
}


Runs = Sequence[DigitResult]


def write(result: TemporalMnistResult, out: Path) -> None:
    """README.md, data.json and figure.png."""
    result.write(out / "data.json")
    (out / "README.md").write_text("\n".join([*head(result), *paper_table(result), *last_table(result)]) + "\n")
    plot(result, out / "figure.png")


def head(result: TemporalMnistResult) -> list[str]:
    return [
        "# Temporal MNIST",
        "",
        f"Section 3.3 of the paper. Seeds: {result.seeds}; mean ± standard deviation over them. Trained on all "
        "training images; the paper names no validation and reports the best test accuracy of two runs, so no "
        "checkpoint is chosen here: `last epoch` is what training ended with. `best epoch` is chosen on the test "
        "images, over all epochs and seeds in the regime: the kind of figure that the paper reports.",
        "",
        f"{STEPS} steps. An answer at step n comes when (n - 1) / {STEPS} of the frame is over: fast is less than "
        f"{FAST_SHARE:.0%} of it on average, slow more than {SLOW_SHARE:.0%}. `varied digits` is not in the paper: as "
        f"many epochs more, in which each image is rotated by up to {mnist.MAX_ROTATION}°, scaled by up to "
        f"{mnist.MAX_SCALE:.0%} and shifted by up to {mnist.MAX_SHIFT} pixels, differently each time, while the "
        f"learning rate falls to zero; nor is the β of {LOWERED} after it, for earlier answers. With β over "
        f"{result.critical_beta:.4f} equation 7 is least at an output below {THETA}, so that even a certain network "
        "waits for the end.",
        "",
        f"{result.measured}.",
        "",
    ]


def grouped(result: TemporalMnistResult) -> list[tuple[str, str, Runs]]:
    """(kind, network, runs) in the order of table 1: regime by regime, small networks first."""
    named = [(name.split(" ", 2), runs) for name, runs in result.runs.items()]
    return [(kind, " ".join(title), runs) for kind in KINDS for (*title, which), runs in named if which == kind]


def paper_table(result: TemporalMnistResult) -> list[str]:
    """Table 1, ours beside."""
    columns = ["regime", "network", "training", "epochs", "paper", "ours, last epoch", "ours, best epoch", "mean step"]
    columns += ["read early", "mean step", "threshold", "read at the end", "best spiking network"]
    low, next_low, *_, high = THRESHOLDS
    early = (
        f"`read early`: the last weights at the highest threshold, of {low}, {next_low} … {high}, at which as many "
        f"training images as test images are answered by step {EARLY} on average. `read at the end`: the last "
        "weights without threshold, the most likely label of the last step, in the slow regime whatever the training."
    )
    return [*markdown_table(columns, (paper_row(*group) for group in grouped(result))), "", early]


def paper_row(kind: str, network: str, runs: Runs) -> list[object]:
    regime, training = KINDS[kind]
    last, figures = [run.history[-1] for run in runs], [run.figures for run in runs]
    return [
        *(regime, network, training, len(runs[0].history), PAPER.get(f"{network} {regime}", "")),
        *(mean_percent([row.accuracy for row in last]), best(runs, regime)),
        mean_and_spread([row.mean_step for row in last]),
        mean_percent([of_run.early.accuracy for of_run in figures]),
        mean_and_spread([of_run.early.mean_step for of_run in figures]),
        mean_and_spread([of_run.early.theta for of_run in figures]),
        *(mean_percent([of_run.end_accuracy for of_run in figures]), SPIKING.get(regime, "")),
    ]


def best(runs: Runs, regime: str) -> str:
    """The best test accuracy of all epochs that lie in the regime."""
    accuracies = [row.accuracy for run in runs for row in run.history if is_in(regime, row.mean_step)]
    return mean_percent([max(accuracies)]) if accuracies else "–"


def is_in(regime: str, mean_step: float) -> bool:
    over = (mean_step - 1) / STEPS
    return {"fast": over < FAST_SHARE, "slow": over > SLOW_SHARE, "end": True}[regime]


def last_table(result: TemporalMnistResult) -> list[str]:
    """The last weights of every run, read by first spike and without threshold."""
    table = markdown_table(
        ("network", "training", "first spike", "mean step", "all at step 1"),
        (
            (
                *(network, KINDS[kind][1], mean_percent([run.figures.accuracy for run in runs])),
                mean_and_spread([run.figures.mean_step for run in runs]),
                mean_percent([run.figures.cut[0] for run in runs]),
            )
            for kind, network, runs in grouped(result)
        ),
    )
    title = ["", f"## The last weights, at threshold {THETA} and without", ""]
    return [*title, *table, "", "![as figure 3 of the paper](figure.png)", ""]


def plot(result: TemporalMnistResult, path: Path) -> None:
    """Figure 3: A an input, B the fast regime through training, C the slow regime and the switch to the fast one."""
    from matplotlib.figure import Figure

    sheet: Any = Figure(figsize=(11, 7.5), layout="constrained")
    above, below = sheet.subfigures(2, 1, height_ratios=[1, 4])
    plot_input(above, result.shown)
    axes = below.subplots(2, 2, sharex="col", sharey="row")
    groups = grouped(result)
    for color, network in enumerate(dict.fromkeys(network for _, network, _ in groups)):
        runs = {kind: group for kind, name, group in groups if name == network}
        draw(axes[:, 0], [runs.get("fast", ())], f"C{color}", network)
        draw(axes[:, 1], [runs.get("slow", ()), runs.get("switched", ())], f"C{color}", network)
    axes[0, 0].set(title=f"B: β {FAST}", ylabel="test accuracy (%)")
    axes[0, 1].set(title=f"C: β {SLOW}, from the dotted line on {FAST}")
    axes[1, 0].set(xlabel="epoch", ylabel="mean step of the answer", ylim=(0.5, STEPS + 0.5))
    axes[1, 1].set(xlabel="epoch")
    axes[1, 0].legend()
    sheet.savefig(path, dpi=120)


def plot_input(sheet: Any, shown: Sequence[str]) -> None:
    """The ten steps of one image."""
    sheet.suptitle("A: the spikes of one image, step by step")
    pixels = np.array([list(row) for row in shown])
    for step, axes in enumerate(sheet.subplots(1, STEPS)):
        axes.imshow(pixels != str(step), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], xlabel=str(step + 1))


def draw(axes: Any, phases: Sequence[Runs], color: str, label: str) -> None:
    """Accuracy above mean step, one line per seed; a dotted line between phases."""
    for seed, parts in enumerate(zip(*(phase for phase in phases if phase), strict=True)):
        history = [row for part in parts for row in part.history]
        epochs = range(1, len(history) + 1)
        style = {"color": color, "alpha": 0.8, "label": label if seed == 0 else None}
        axes[0].plot(epochs, [100 * row.accuracy for row in history], **style)
        axes[1].plot(epochs, [row.mean_step for row in history], **style)
        if len(parts) > 1:
            for panel in axes:
                panel.axvline(len(parts[0].history) + 0.5, color=color, linestyle=":")
