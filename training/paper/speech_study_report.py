"""The speech study told: report.md and its figures, every number from report.json."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.run_pool import mean_and_spread, over_seeds

ONE, BLOCK, BEST = "one threshold", "by block", "rc, best β"
BLUES = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08306b")
STYLES: dict[str, dict[str, Any]] = {
    **{f"rc beta 0.{i}": {"color": blue} for i, blue in enumerate(BLUES)},
    BEST: {"color": "tab:red", "linewidth": 2},
    "eos": {"color": "tab:green"},
    "eos beta 0.2": {"color": "tab:green", "linestyle": "--"},
    "eos beta 0.4": {"color": "tab:green", "linestyle": ":"},
    "all-steps": {"color": "tab:orange"},
    "max-pool": {"color": "tab:purple"},
}
PAPER = {"rc beta 0.0": "below 500", "rc beta 0.2": "about 600", "rc beta 0.4": "1000, the end"}  # spike times told

Result = Mapping[str, Any]
Group = Sequence[Mapping[str, Any]]  # runs of a kind, a seed each


def write(result: Result, out: Path) -> None:
    """report.md and the four figures."""
    parts = (head(result), through(result), claim(result), blocks(result), saving(result))
    (out / "report.md").write_text("\n".join(line for part in parts for line in part))
    plot_training(result, out / "training.png")
    plot_curves(result, out / "curve.png")
    plot_blocks(result, out / "thresholds.png")
    plot_saving(result, out / "saving.png")


def head(result: Result) -> list[str]:
    """What was done, and what the paper did otherwise."""
    runs = [one for group in result["runs"].values() for one in group]
    settings, measured = runs[0]["settings"], result["measured"]
    hours = sum(row["cpu_s"] for one in runs for row in one["history"]) / 3600
    fewer = [name for name, group in result["runs"].items() if len(group) < result["seeds"]]
    return [
        "# Spoken keywords",
        "",
        f"Section 3.4 of the paper. Keywords: {', '.join(settings['labels'][:-2])}; all other words are `_unknown_`. "
        f"Data: {result['data']}.",
        "",
        f"Algorithm 1 as published, θ {settings['theta']}, {settings['epochs']} epochs of {result['clips']['epoch']} "
        f"clips in batches of {settings['batch']}; {len(runs)} runs, {hours:.1f} hours of one core. "
        "The paper has 1000 epochs of about 85,000 clips, and ten keywords. Unlike it: at most half the clips of an "
        "epoch are other words; silence is a label, some in each batch; the learning rate falls to a fiftieth; "
        "averaged weights are measured; clips move by up to 100 ms.",
        "",
        f"Seeds: {result['seeds']}; mean ± standard deviation over them. "
        + (f"Only one for {', '.join(fewer)}, each a side question that costs as much as EOS. " if fewer else "")
        + "Of each run the weights with the most accurate spikes on validation, as in the paper, but for the first few "
        "epochs, in which clips move less; or the last where their whole curve there is better "
        f"({sum(one['weights'] == 'last' for one in runs)} of {len(runs)}). Times are audio heard; they count the "
        "network's look-ahead, which the paper does not.",
        "",
        f"`{measured['command']}`, {measured['date']}, {measured['machine']}.",
        "",
    ]


def through(result: Result) -> list[str]:
    """Figure 4, and where its runs ended on test."""
    return ["## At the threshold of training", "", *run_table(result), "", "![through training](training.png)", ""]


def paper_table(result: Result) -> list[str]:
    """What the paper tells in numbers and its claim, ours beside."""
    claimed = "Rank coding, which the paper says is the more accurate at any speed, against the others by threshold:"
    return [*run_table(result), "", claimed, "", *verdicts(result)]


def run_table(result: Result) -> list[str]:
    """Where every kind of run ended; the paper has no more numbers than these."""
    lines = [
        "| run | accuracy, % | mean decision time, ms | paper, ms | validation at the end, last epoch, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, group in result["runs"].items():
        accuracy = mean_and_spread(over_seeds(group, "test", "spike", "accuracy"), 0.01)
        time = mean_and_spread(over_seeds(group, "test", "spike", "decision_time_s"), 0.001)
        end = mean_and_spread([one["history"][-1]["validation_end_accuracy"] for one in group], 0.01)
        lines.append(f"| {name} | {accuracy} | {time} | {PAPER.get(name, '')} | {end} |")
    return lines


def claim(result: Result) -> list[str]:
    """Figure 5: whether RC is the more accurate at any speed, as the paper says, and where not."""
    return [
        "## Is rank coding the more accurate at any speed?",
        "",
        "At each mean decision time the rank-coded run whose β is best there on validation, against the others stopped "
        "by threshold. A difference below its spread over seeds, or below the standard error of an accuracy on these "
        f"{result['clips']['test']} clips, counts as none. Of max-pool only keywords can spike: it learns all else at "
        "every step.",
        "",
        *verdicts(result),
        "",
        "Accuracy (%) on test at the same mean decision time, between two thresholds by a straight line:",
        "",
        *table(result, ONE, list(result["compared"][ONE])),
        "",
        "![accuracy against mean decision time](curve.png)",
        "",
    ]


def verdicts(result: Result) -> list[str]:
    """Rank coding with the best β against each other way of training."""
    return [f"- {name}: {verdict(result, (BEST, ONE), (name, ONE))}" for name in result["runs"] if name[:2] != "rc"]


def verdict(result: Result, mine: tuple[str, str], other: tuple[str, str]) -> str:
    """Where one kind of run, by one way of stopping, is more accurate than another, level with it, or less accurate."""
    compared = result["compared"]
    ours, theirs = (np.array(compared[way][name]) for name, way in (mine, other))
    gains = ours[: len(theirs)] - theirs
    mean, accuracy = gains.mean(axis=0), ours.mean(axis=0)
    margin = np.maximum(gains.std(axis=0), np.sqrt(accuracy * (1 - accuracy) / result["clips"]["test"]))
    told = [
        f"{word} at {', '.join(f'{1000 * s:.0f}' for s, here in zip(compared['seconds'], at, strict=True) if here)} ms"
        for word, at in {"ahead": mean > margin, "level": abs(mean) <= margin, "behind": mean < -margin}.items()
        if at.any()
    ]
    return f"{'; '.join(told)}; by {100 * mean.min():+.1f} to {100 * mean.max():+.1f} points."


def table(result: Result, way: str, names: Sequence[str]) -> list[str]:
    compared = result["compared"]
    lines = [f"| ms | {' | '.join(names)} |", "| --- " * (1 + len(names)) + "|"]
    for i, seconds in enumerate(compared["seconds"]):
        cells = [mean_and_spread([seed[i] for seed in compared[way][name]], 0.01) for name in names]
        lines.append(f"| {1000 * seconds:.0f} | {' | '.join(cells)} |")
    return lines


def blocks(result: Result) -> list[str]:
    """The paper's future work: what thresholds that change through the clip add, alone and with β."""
    names = [name for name in result["compared"][BLOCK] if " beta " not in name or name == "rc beta 0.0"]
    return [
        "## Thresholds that change through the clip",
        "",
        "A threshold for every tenth of the clip, searched for on validation after training, at a price for each second"
        f". `rc beta 0.0` has them alone, `{BEST}` both. Against one threshold on the same networks:",
        "",
        *(f"- {name}: {verdict(result, (name, BLOCK), (name, ONE))}" for name in names),
        "",
        "Accuracy (%) on test with them:",
        "",
        *table(result, BLOCK, names),
        "",
        "![thresholds that change](thresholds.png)",
        "",
    ]


def saving(result: Result) -> list[str]:
    """What an epoch costs by rank coding and from the last step."""
    lines = [
        "## What an epoch costs",
        "",
        "Work is what the network really ran, forward and backward: steps of sequences, to the end of the chunk of a "
        f"spike, {result['flop_a_step'] / 1e6:.3f} MFLOP each. CPU time counts features, noise and the optimiser too, "
        "and suffers from what else the machine does. Shares are of EOS in the same epoch.",
        "",
        "| run | work, last epoch, GFLOP | CPU, last epoch, s | work, all epochs, share | CPU, all epochs, share |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, group in result["runs"].items():
        last = [one["history"][-1] for one in group]
        work = mean_and_spread([row["steps_run"] * result["flop_a_step"] for row in last], 1e9)
        cpu = mean_and_spread([row["cpu_s"] for row in last])
        shares = [mean_and_spread(share(result, name, key).mean(axis=1).tolist()) for key in ("steps_run", "cpu_s")]
        lines.append(f"| {name} | {work} | {cpu} | {' | '.join(shares)} |")
    return [*lines, "", "![cost through training](saving.png)", ""]


def share(result: Result, name: str, key: str) -> Any:
    """What each epoch of each seed cost, as a share of the mean EOS epoch of that number, [seeds, epochs]."""
    own, eos = (np.array([[row[key] for row in one["history"]] for one in result["runs"][n]]) for n in (name, "eos"))
    return own / eos.mean(axis=0)


def blank(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plot_training(result: Result, path: Path) -> None:
    """Figure 4: accuracy on validation and spike time at the threshold of training, RC left and EOS right."""
    figure = blank(9, 6)
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, kind in enumerate(("rc", "eos")):
        for name in (name for name in result["runs"] if name == "eos" or name.startswith(kind)):
            draw_epochs(axes[0, column], result["runs"][name], "validation_accuracy", 100, **STYLES[name], label=name)
            draw_epochs(axes[1, column], result["runs"][name], "validation_spike_s", 1000, **STYLES[name])
    eos = result["runs"]["eos"]
    draw_epochs(axes[0, 0], eos, "validation_end_accuracy", 100, color="tab:red", label="eos, at the end")
    axes[0, 0].set(title="RC, and EOS beside", ylabel="accuracy (%)")
    axes[1, 0].set(ylabel="mean spike time (ms)")
    for top, bottom in axes.T:
        top.legend(loc="lower right", fontsize="small")
        bottom.set(xlabel="epoch")
    figure.savefig(path, dpi=120)


def draw_epochs(axes: Any, group: Group, key: str, unit: float, **style: Any) -> None:
    """A figure of every epoch, mean over seeds."""
    values = unit * np.array([[row[key] for row in one["history"]] for one in group]).mean(axis=0)
    axes.plot(range(1, len(values) + 1), values, **style)


def plot_curves(result: Result, path: Path) -> None:
    """Figure 5: accuracy against mean decision time over θ on test, RC left, the others right, the best β in both."""
    figure = blank(11, 5)
    panels = figure.subplots(1, 2, sharey=True)
    for name, group in result["runs"].items():
        for i, one in enumerate(group):
            points = np.array([(1000 * each["decision_time_s"], 100 * each["accuracy"]) for each in one["test"][ONE]])
            panels[int(name[:2] != "rc")].plot(*points.T, **STYLES[name], label=None if i else name)
    for axes in panels:
        draw_compared(axes, result, ONE, BEST, **STYLES[BEST], label=BEST)
        finish(axes)
    figure.savefig(path, dpi=120)


def plot_blocks(result: Result, path: Path) -> None:
    """One threshold and thresholds by block at the same mean times."""
    figure = blank(7, 5)
    axes = figure.subplots()
    for name in (BEST, "rc beta 0.0", "eos"):
        for way, line in ((ONE, "-"), (BLOCK, "--")):
            draw_compared(axes, result, way, name, color=STYLES[name]["color"], linestyle=line, label=f"{name}, {way}")
    finish(axes)
    figure.savefig(path, dpi=120)


def draw_compared(axes: Any, result: Result, way: str, name: str, **style: Any) -> None:
    compared = result["compared"]
    axes.plot(1000 * np.array(compared["seconds"]), 100 * np.array(compared[way][name]).mean(axis=0), **style)


def finish(axes: Any) -> None:
    axes.set(xlabel="mean decision time (ms of audio heard)", ylabel="accuracy (%)", xlim=(200, 1000))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")


def plot_saving(result: Result, path: Path) -> None:
    """Work and CPU time of every epoch as shares of EOS."""
    figure = blank(9, 4)
    for axes, key, what in zip(figure.subplots(1, 2), ("steps_run", "cpu_s"), ("steps run", "CPU time"), strict=True):
        for name in (name for name in result["runs"] if name == "eos" or name.startswith("rc")):
            values = share(result, name, key).mean(axis=0)
            axes.plot(range(1, len(values) + 1), values, **STYLES[name], label=name)
        axes.set(title=f"{what}, share of an EOS epoch", xlabel="epoch", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", fontsize="small")
    figure.savefig(path, dpi=120)
