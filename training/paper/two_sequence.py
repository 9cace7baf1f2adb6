"""Section 3.2 of the paper, figure 2: which of two means a noisy sequence has, rank coding against the last step.

Beside the paper's runs, shorter ones that go on from its rank-coded network with a falling learning rate: with an
entropy term, and with a training threshold drawn for each sequence. All are held against the optimal sequential test.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.run_pool import grouped, mean_and_spread, over_seeds, percent, run_all
from training.paper.sequences import TWO_STEPS, falling_thresholds, two_sequence, two_sequence_posterior
from training.paper.toy import (
    Answers,
    Floats,
    Integers,
    SequenceNetwork,
    ToySettings,
    answers,
    probabilities,
    score,
    train,
)
from training.reports import model_card as report

FRESH, QUICK_FRESH = 100_000, 4000  # test sequences
FULL = {"examples": 2_000_000}
QUICK = {"examples": 40_000, "hidden": 24, "learning_rate": 0.01, "clip_norm": 0.1}
MORE, QUICK_MORE = 125_000, 8_000  # examples of a run that goes on from another
THETAS = [round(1 - gap, 5) for gap in np.geomspace(0.4, 0.0005, 32)]  # at inference
COSTS = np.geomspace(0.05, 0.00001, 30)  # of accuracy for a step, of the falling thresholds
STEPS = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]  # mean steps at which curves are compared
BETAS = (0.0, 0.1, 0.2)
CUT = 14  # the step at which the paper cuts the conventional network
SEED = 20_000  # of the test sequences


def run(quick: bool, seeds: int, out: Path, command: str) -> None:
    """Train, measure and write report.json, report.md and the figures to `out`."""
    count = QUICK_FRESH if quick else FRESH
    runs = [one for seed in range(seeds) for one in settings(seed, quick)]
    found = grouped(run_all(partial(train, draw=two_sequence), partial(measure, count=count), runs, out / "runs"))
    result = {
        "measured": report.facts(command, 0),
        "sequences": count,
        "seeds": seeds,
        "runs": found,
        "limit": limit(count),
    }
    result["compared"] = compare(result)
    write(result, out)


def settings(seed: int, quick: bool) -> list[ToySettings]:
    """The runs of one seed: the paper's two, then those that go on from its rank-coded one."""
    size: dict[str, Any] = QUICK if quick else FULL
    rc = ToySettings("rc", "rc", seed=seed, retain=True, **size)
    more = {**size, "examples": QUICK_MORE if quick else MORE, "base": rc, "method": "rc", "seed": seed}
    return [
        rc,
        ToySettings("eos", "eos", seed=seed, retain=True, **size),
        *(ToySettings(f"rc beta {beta}", beta=beta, **more) for beta in BETAS),
        ToySettings("rc drawn thresholds", theta_low=0.6, theta=0.999, **more),
    ]


def fresh(count: int) -> tuple[Floats, Integers]:
    """The test sequences, the same for every network and for the optimal test."""
    return two_sequence(count, np.random.default_rng(SEED))


def measure(network: SequenceNetwork, count: int) -> dict[str, Any]:
    sequences, labels = fresh(count)
    return figures(probabilities(network, sequences), labels)


def figures(probability: Floats, labels: Integers) -> dict[str, Any]:
    """Of outputs [sequences, steps], a network's or the optimal observer's: at 0.95, over thresholds, cut at a step."""
    return {
        "spike": score(probability, labels),
        "curve": [{"theta": theta, **point(answers(probability, theta), labels)} for theta in THETAS],
        "cut": [float(value) for value in ((probability >= 0.5) == labels[:, None]).mean(axis=0)],
    }


def point(found: Answers, labels: Integers) -> dict[str, float]:
    return {"accuracy": float((found.label == labels).mean()), "mean_step": float(found.step.mean() + 1)}


def limit(count: int) -> dict[str, Any]:
    """The optimal sequential test: by one threshold, and by thresholds that fall, fitted on sequences of their own."""
    sequences, labels = fresh(count)
    posterior = two_sequence_posterior(sequences)
    apart = two_sequence_posterior(two_sequence(count // 2, np.random.default_rng(SEED + 1))[0])
    falling = [answers(posterior, falling_thresholds(apart, cost)) for cost in COSTS]
    return {**figures(posterior, labels), "falling": [point(found, labels) for found in falling]}


def accuracy_at(curve: Sequence[Mapping[str, float]]) -> list[float | None]:
    """Accuracy at the mean steps STEPS, between the points of a curve; none where it does not reach."""
    ordered = sorted(curve, key=lambda each: each["mean_step"])
    mean_step, accuracy = (np.array([each[key] for each in ordered]) for key in ("mean_step", "accuracy"))
    values = np.interp(np.array(STEPS, np.float64), mean_step, accuracy, left=np.nan, right=np.nan)
    return [None if np.isnan(value) else float(value) for value in values]


def compare(result: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy at the same mean steps, a list over STEPS for each seed, and how far the best β stays from the limit."""
    at = {name: [accuracy_at(one["curve"]) for one in group] for name, group in result["runs"].items()}
    entropy = [at[f"rc beta {beta}"] for beta in BETAS] + [at["rc"]]
    at["rc, best of β"] = [[best(values) for values in zip(*seed, strict=True)] for seed in zip(*entropy, strict=True)]
    bounds = {"one threshold": accuracy_at(result["limit"]["curve"])}
    bounds["falling thresholds"] = accuracy_at(result["limit"]["falling"])
    gaps = {
        name: {bound: [farthest(values, seed) for seed in group] for bound, values in bounds.items()}
        for name, group in at.items()
    }
    return {"steps": STEPS, "accuracy": at, "limit": bounds, "farthest": gaps}


def best(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def farthest(bound: Sequence[float | None], values: Sequence[float | None]) -> float | None:
    """How far below the bound accuracy falls at most, over the mean steps that both reach."""
    return best([most - value for most, value in zip(bound, values, strict=True) if most and value])


def write(result: Mapping[str, Any], out: Path) -> None:
    """report.json, report.md and the figures."""
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "report.md").write_text("\n".join([*head(result), *paper_table(result), *curve_table(result)]) + "\n")
    plot_examples(out / "examples.png")
    plot_times(result["runs"], out / "times.png")
    plot_curves(result, out / "curve.png")


def head(result: Mapping[str, Any]) -> list[str]:
    measured = result["measured"]
    return [
        "# 2-sequence problem",
        "",
        f"Section 3.2 of the paper. Fresh sequences: {result['sequences']}. Seeds: {result['seeds']}; mean ± standard "
        "deviation over them. The limit is the optimal sequential test, which knows the two means and integrates the "
        "standard deviation out.",
        "",
        f"`{measured['command']}`, {measured['date']}, {measured['machine']}.",
        "",
    ]


def paper_table(result: Mapping[str, Any]) -> list[str]:
    """The figures of the paper, ours, and what the optimal test does at the same threshold or step."""
    rc, more, eos = (result["runs"][name] for name in ("rc", "rc beta 0.0", "eos"))
    most, end, early, step = [result["limit"]], "end_accuracy", ("spike", "accuracy"), ("spike", "mean_step")
    rows = [
        ("RC, first spike: accuracy", "95.45 %", *(percent(over_seeds(runs, *early)) for runs in (rc, most))),
        ("RC, first spike: mean step", "14", *(steps(over_seeds(runs, *step)) for runs in (rc, most))),
        ("RC, on from its last weights: accuracy", "", *(percent(over_seeds(runs, *early)) for runs in (more, most))),
        ("RC, on from its last weights: mean step", "", *(steps(over_seeds(runs, *step)) for runs in (more, most))),
        ("EOS, at the end", "96.84 %", *(percent(over_seeds(runs, "spike", end)) for runs in (eos, most))),
        (f"EOS, cut at step {CUT}", "89 %", *(percent([one["cut"][CUT - 1] for one in runs]) for runs in (eos, most))),
        ("EOS, first spike: accuracy", "96.32 %", *(percent(over_seeds(runs, *early)) for runs in (eos, most))),
        ("EOS, first spike: mean step", "23", *(steps(over_seeds(runs, *step)) for runs in (eos, most))),
    ]
    lines = ["| at threshold 0.95 | paper | ours | limit |", "| --- | --- | --- | --- |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), "", below_the_limit(result)]


def below_the_limit(result: Mapping[str, Any]) -> str:
    gaps = result["compared"]["farthest"]["rc, best of β"]
    points = " and ".join(f"{cell(values)} by {bound}" for bound, values in gaps.items())
    return (
        f"At the same mean step, {STEPS[0]} to {STEPS[-1]}, the best of β falls at most so many points of accuracy "
        f"below the optimal test: {points}."
    )


def steps(values: Sequence[float]) -> str:
    return mean_and_spread(values)


def curve_table(result: Mapping[str, Any]) -> list[str]:
    """Accuracy at the same mean step: every kind of run beside the limit."""
    compared = result["compared"]
    names = list(compared["accuracy"])
    lines = [
        "",
        "## Speed against accuracy",
        "",
        "Accuracy (%) at the same mean step, by the threshold at inference; – where a curve does not reach.",
        "`rc` and `eos` are the paper's runs; the others go on from the last weights of `rc` with a falling learning "
        "rate. The best of β is chosen at each mean step on these same sequences.",
        "",
        f"| mean step | limit, one threshold | limit, falling | EOS, cut | {' | '.join(names)} |",
        "| --- " * (4 + len(names)) + "|",
    ]
    for i, step in enumerate(compared["steps"]):
        bounds = [cell([values[i]]) for values in compared["limit"].values()]
        cut = cell([one["cut"][step - 1] for one in result["runs"]["eos"]])
        cells = [cell([seed[i] for seed in compared["accuracy"][name]]) for name in names]
        lines.append(f"| {step} | {' | '.join([*bounds, cut, *cells])} |")
    for bound in compared["limit"]:
        cells = [cell(compared["farthest"][name][bound]) for name in names]
        lines.append(f"| farthest below the limit, {bound} | | | | {' | '.join(cells)} |")
    return [*lines, "", "![speed against accuracy](curve.png)", "", "![through training](times.png)", ""]


def cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return mean_and_spread(known, 0.01) if len(known) == len(values) else "–"


def plot_examples(path: Path) -> None:
    """Figure 2A: sequences of both classes, with little and much noise."""
    from matplotlib.figure import Figure

    sequences, labels = fresh(200)
    noise = sequences.std(axis=1)
    panels = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, label in zip(panels.subplots(1, 2, sharey=True), (1, 0), strict=True):
        rows = np.flatnonzero(labels == label)
        for row in rows[np.argsort(noise[rows])][:: len(rows) // 3]:
            axes.plot(range(1, TWO_STEPS + 1), sequences[row], alpha=0.8)
        axes.set(title=f"mean {'+' if label else '-'}0.05", xlabel="step")
    panels.savefig(path, dpi=120)


def plot_times(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Figure 2B: quartiles of the first spike's step on validation as training goes on, of the first seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, color in (("rc", "tab:blue"), ("eos", "tab:orange")):
        history = runs[name][0]["history"]
        low, median, high = ([each[f"{q}_step"] for each in history] for q in ("q1", "median", "q3"))
        examples = [each["examples"] for each in history]
        axes.fill_between(examples, low, high, color=color, alpha=0.2)
        axes.plot(examples, median, color=color, label=f"{name.upper()}: median and quartiles")
    axes.set(xlabel="training examples", ylabel="step of the first spike", ylim=(0, TWO_STEPS + 1))
    axes.legend()
    figure.savefig(path, dpi=120)


def plot_curves(result: Mapping[str, Any], path: Path) -> None:
    """Accuracy against mean step: every kind of run over thresholds, the conventional one cut, and the limits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, (name, group) in enumerate(result["runs"].items()):
        for j, one in enumerate(group):
            draw_curve(axes, one["curve"], color=f"C{i}", alpha=0.7, label=None if j else name)
    for j, one in enumerate(result["runs"]["eos"]):
        cut = [{"mean_step": step, "accuracy": value} for step, value in enumerate(one["cut"], start=1)]
        draw_curve(axes, cut, color="tab:gray", linestyle=":", label=None if j else "eos, cut at a fixed step")
    draw_curve(axes, result["limit"]["curve"], color="black", label="limit, one threshold")
    draw_curve(axes, result["limit"]["falling"], color="black", linestyle="--", label="limit, falling thresholds")
    axes.set(xlabel="mean step of the answer", ylabel="accuracy (%)", xlim=(4, TWO_STEPS), ylim=(85, 97.5))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def draw_curve(axes: Any, curve: Sequence[Mapping[str, float]], **style: Any) -> None:
    ordered = sorted(curve, key=lambda each: each["mean_step"])
    axes.plot([each["mean_step"] for each in ordered], [100 * each["accuracy"] for each in ordered], **style)
