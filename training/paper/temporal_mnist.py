"""Section 3.3 of the paper, figure 3 and table 1: digits whose darker pixels spike earlier, told early or surely.

The paper switches from a high β, where the network answers late, to 0.165, where it answers at the first step. How high
the high one was and how long it was kept it does not say: here it is 0.25, just above the β at which equation 7 itself
asks a sure network to stay below the threshold. Past the paper: runs that go on for as long again with digits that are
turned, scaled and moved a little, and a falling learning rate; for those that then answer too late, a lower β to the
end or a lower threshold.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from training.paper import mnist
from training.paper.digits import EARLY, THETA, THRESHOLDS, DigitSettings, measure, train
from training.paper.mnist import LABELS, STEPS
from training.paper.run_pool import grouped, mean_and_spread, over_seeds, percent, run_all
from training.reports import model_card as report

FAST, SLOW, LOWERED = 0.165, 0.25, 0.05  # β
FAST_SHARE, SLOW_SHARE = 0.05, 0.25  # of the frame gone by before the answer: less is fast, more is slow
SWITCHED = 10  # epochs after a change of β, at most as many as the regime has
# (network, units, epochs of fast runs, epochs of slow and EOS runs): 50 is the paper's, fewer are what two cores can do
FULL = (("lstm", 340, 50, 10), ("convlstm", 10, 30, 6), ("convlstm", 20, 30, 4))
QUICK = (("lstm", 64, 20, 8), ("convlstm", 2, 15, 6))
QUICK_SIZE: dict[str, Any] = {"images": 500, "tested": 500, "batch": 10, "learning_rate": 0.01}
TITLES = {"lstm": "LSTM", "convlstm": "ConvLSTM"}
PAPER = {
    "LSTM 340 fast": "98.14 %",
    "ConvLSTM 10 fast": "98.90 %",
    "ConvLSTM 20 fast": "99.19 %",
    "ConvLSTM 10 slow": "99.16 %",
    "ConvLSTM 20 slow": "99.29 %",
}
SPIKING = {"fast": "97.4 %", "slow": "98.5 %; 99.4 % by one much larger"}  # the best spiking networks of table 1
KINDS = {  # of runs: regime, what was done
    "fast": ("fast", f"RC, β {FAST}"),
    "fast varied": ("fast", f"RC, β {FAST}, then varied digits"),
    "fast lowered": ("fast", f"RC, β {FAST}, then varied digits, then β {LOWERED}"),
    "switched": ("fast", f"RC, β {SLOW}, then {FAST}"),
    "slow": ("slow", f"RC, β {SLOW}"),
    "slow varied": ("slow", f"RC, β {SLOW}, then varied digits"),
    "eos": ("end", "EOS, at the end"),
}


def run(data: Path, quick: bool, seeds: int, out: Path, command: str) -> None:
    """Train, measure and write report.json, report.md and the figure to `out`, anew after each network."""
    size = QUICK_SIZE if quick else {}
    count = size.get("tested", DigitSettings.tested)
    shown = drawn(mnist.read(data, "test", 1).images[0])
    result: dict[str, Any] = {"measured": report.facts(command, 0), "seeds": seeds, "critical_beta": critical_beta()}
    result |= {"runs": {}, "shown": shown}
    for runs in stages(seeds, quick):
        learn = partial(train, data=data, folder=out / "runs")
        found = run_all(learn, partial(measure, data=data, count=count), runs, out / "runs")
        result["runs"] |= grouped(found)
        write(result, out)


def stages(seeds: int, quick: bool) -> list[list[DigitSettings]]:
    """All runs, those of a network together, EOS of all last; the quick ones in one go."""
    networks = QUICK if quick else FULL
    size = QUICK_SIZE if quick else {}
    rc = [[one for seed in range(seeds) for one in rank_coded(*each, seed, size)] for each in networks]
    eos = [end_of_sequence(*each, seed, size) for each in networks for seed in range(seeds)]
    return [[one for runs in [*rc, eos] for one in runs]] if quick else [*rc, eos]


def rank_coded(
    network: str, hidden: int, fast: int, slow: int, seed: int, size: Mapping[str, Any]
) -> list[DigitSettings]:
    """The paper's two regimes, the switch from one to the other, each with varied digits; then less β in the fast."""
    title = f"{TITLES[network]} {hidden}"
    same: dict[str, Any] = {"network": network, "hidden": hidden, "method": "rc", "seed": seed, **size}
    early = DigitSettings(f"{title} fast", epochs=fast, beta=FAST, **same)
    varied = replace(early, name=f"{early.name} varied", base=early, varied=True)
    late = DigitSettings(f"{title} slow", epochs=slow, beta=SLOW, **same)
    return [
        early,
        varied,
        replace(varied, name=f"{early.name} lowered", base=varied, beta=LOWERED, epochs=min(SWITCHED, fast)),
        late,
        DigitSettings(f"{title} switched", epochs=min(SWITCHED, slow), beta=FAST, base=late, **same),
        replace(late, name=f"{late.name} varied", base=late, varied=True),
    ]


def end_of_sequence(
    network: str, hidden: int, fast: int, slow: int, seed: int, size: Mapping[str, Any]
) -> DigitSettings:
    return DigitSettings(f"{TITLES[network]} {hidden} eos", network, hidden, "eos", slow, seed, **size)


def critical_beta(theta: float = THETA, labels: int = LABELS) -> float:
    """Above this β equation 7 is least where the right output is below `theta`, however sure the network could be."""
    return 1 / (theta * math.log((labels - 1) * theta / (1 - theta)))


def drawn(image: Tensor) -> list[str]:
    """An image [28, 28] as text: the step at which each pixel spikes, a dot where none does."""
    return ["".join("." if step == STEPS else str(step) for step in row) for row in mnist.spike_step(image).tolist()]


def write(result: Mapping[str, Any], out: Path) -> None:
    """report.json, report.md and figure.png."""
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "report.md").write_text("\n".join([*head(result), *paper_table(result), *last_table(result)]) + "\n")
    plot(result, out / "figure.png")


def head(result: Mapping[str, Any]) -> list[str]:
    measured = result["measured"]
    return [
        "# Temporal MNIST",
        "",
        f"Section 3.3 of the paper. Seeds: {result['seeds']}; mean ± standard deviation over them. Trained on all "
        "training images; the paper names no validation and reports the best test accuracy of two runs, so no "
        "checkpoint is chosen here: `last epoch` is what training ended with. `best epoch` is chosen on the test "
        "images, over all epochs and seeds in the regime: the kind of figure that the paper reports.",
        "",
        f"{STEPS} steps. An answer at step n comes when (n - 1) / {STEPS} of the frame has gone by: fast is less than "
        f"{FAST_SHARE:.0%} of it on average, slow more than {SLOW_SHARE:.0%}. `varied digits` is not in the paper: as "
        f"many epochs more, in which each image is turned by up to {mnist.TURN}°, scaled by up to "
        f"{mnist.SCALE:.0%} and moved by up to {mnist.SHIFT} pixels, anew each time, while the "
        f"learning rate falls to zero; nor is the β of {LOWERED} after it, for earlier answers. With β over "
        f"{result['critical_beta']:.4f} equation 7 is least at an output below {THETA}, so that even a sure network "
        "waits for the end.",
        "",
        f"`{measured['command']}`, {measured['date']}, {measured['machine']}.",
        "",
    ]


def rows(result: Mapping[str, Any]) -> list[tuple[str, str, Sequence[Mapping[str, Any]]]]:
    """(kind, network, runs) in the order of table 1: regime by regime, small networks first."""
    found = [(name.split(" ", 2), runs) for name, runs in result["runs"].items()]
    return [(kind, " ".join(title), runs) for kind in KINDS for (*title, which), runs in found if which == kind]


def paper_table(result: Mapping[str, Any]) -> list[str]:
    """Table 1, ours beside."""
    columns = ["regime", "network", "training", "epochs", "paper", "ours, last epoch", "ours, best epoch", "mean step"]
    columns += ["read early", "mean step", "threshold", "read at the end", "best spiking network"]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for kind, network, runs in rows(result):
        regime, training = KINDS[kind]
        last = [one["history"][-1] for one in runs]
        cells = [regime, network, training, str(len(runs[0]["history"])), PAPER.get(f"{network} {regime}", "")]
        cells += [percent(over_seeds(last, "accuracy")), best(runs, regime)]
        cells += [mean_and_spread(over_seeds(last, "mean_step")), percent(over_seeds(runs, "early", "accuracy"))]
        cells += [mean_and_spread(over_seeds(runs, "early", key)) for key in ("mean_step", "theta")]
        cells += [percent(over_seeds(runs, "end_accuracy")), SPIKING.get(regime, "")]
        lines.append(f"| {' | '.join(cells)} |")
    low, next_low, *_, high = THRESHOLDS
    early = (
        f"`read early`: the last weights at the highest threshold, of {low}, {next_low} … {high}, at which as many "
        f"training images as test images are answered by step {EARLY} on average. `read at the end`: the last "
        "weights without threshold, the most likely label of the last step, in the slow regime whatever the training."
    )
    return [*lines, "", early]


def best(runs: Sequence[Mapping[str, Any]], regime: str) -> str:
    """The best test accuracy of all epochs that lie in the regime."""
    found = [each["accuracy"] for one in runs for each in one["history"] if is_in(regime, each["mean_step"])]
    return percent([max(found)]) if found else "–"


def is_in(regime: str, mean_step: float) -> bool:
    gone = (mean_step - 1) / STEPS
    return {"fast": gone < FAST_SHARE, "slow": gone > SLOW_SHARE, "end": True}[regime]


def last_table(result: Mapping[str, Any]) -> list[str]:
    """The last weights of every run, read by first spike and without threshold."""
    columns = "| network | training | first spike | mean step | all at step 1 |"
    lines = ["", f"## The last weights, at threshold {THETA} and without", "", columns, "| --- " * 5 + "|"]
    for kind, network, runs in rows(result):
        cells = [network, KINDS[kind][1], percent(over_seeds(runs, "accuracy"))]
        cells += [mean_and_spread(over_seeds(runs, "mean_step")), percent([one["cut"][0] for one in runs])]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "![as figure 3 of the paper](figure.png)", ""]


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Figure 3: A an input, B the fast regime through training, C the slow regime and the switch to the fast one."""
    from matplotlib.figure import Figure

    sheet: Any = Figure(figsize=(11, 7.5), layout="constrained")
    above, below = sheet.subfigures(2, 1, height_ratios=[1, 4])
    plot_input(above, result["shown"])
    axes = below.subplots(2, 2, sharex="col", sharey="row")
    found = rows(result)
    for color, network in enumerate(dict.fromkeys(network for _, network, _ in found)):
        runs = {kind: group for kind, name, group in found if name == network}
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


def draw(axes: Any, phases: Sequence[Sequence[Mapping[str, Any]]], color: str, label: str) -> None:
    """Accuracy above mean step, a line a seed; a dotted line between phases."""
    for seed, parts in enumerate(zip(*(phase for phase in phases if phase), strict=True)):
        history = [each for one in parts for each in one["history"]]
        epochs = range(1, len(history) + 1)
        style = {"color": color, "alpha": 0.8, "label": label if seed == 0 else None}
        axes[0].plot(epochs, [100 * each["accuracy"] for each in history], **style)
        axes[1].plot(epochs, [each["mean_step"] for each in history], **style)
        if len(parts) > 1:
            for panel in axes:
                panel.axvline(len(parts[0]["history"]) + 0.5, color=color, linestyle=":")
