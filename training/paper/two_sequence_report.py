"""How section 3.2 of the paper is reported: README.md, data.json and the figures. Every number is from the result."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.run_pool import RunResult
from training.paper.sequences import TWO_STEPS
from training.paper.toy import ToyRow
from training.paper.two_sequence import (
    BEST,
    ONE,
    STEPS,
    StepPoint,
    TwoSequenceFigures,
    TwoSequenceResult,
    draw_test_sequences,
)
from training.reports.markdown import markdown_table, mean_and_spread, mean_percent

CUT = 14  # the step at which the paper cuts the conventional network
Runs = Mapping[str, Sequence[RunResult[ToyRow, TwoSequenceFigures]]]


def write(result: TwoSequenceResult, out: Path) -> None:
    """README.md, data.json and the figures."""
    result.write(out / "data.json")
    (out / "README.md").write_text("\n".join([*head(result), *paper_table(result), *curve_table(result)]) + "\n")
    plot_examples(out / "examples.png")
    plot_times(result.runs, out / "times.png")
    plot_curves(result, out / "curve.png")


def head(result: TwoSequenceResult) -> list[str]:
    return [
        "# 2-sequence problem",
        "",
        f"Section 3.2 of the paper. Test sequences: {result.sequences}. Seeds: {result.seeds}; mean ± standard "
        "deviation over them. The limit is the optimal sequential test, which knows the two means and integrates the "
        "standard deviation out.",
        "",
        f"{result.measured}.",
        "",
    ]


def paper_table(result: TwoSequenceResult) -> list[str]:
    """The figures of the paper, ours, and what the optimal test does at the same threshold or step."""
    names = ("rc", "rc beta 0.0", "eos", "all steps more", "certainty more")
    rc, more, eos, all_steps, certainty = ([run.figures for run in result.runs[name]] for name in names)
    limit: list[TwoSequenceFigures] = [result.limit]

    def accuracy(group: Sequence[TwoSequenceFigures]) -> str:
        return mean_percent([figures.spike.accuracy for figures in group])

    def step(group: Sequence[TwoSequenceFigures]) -> str:
        return mean_and_spread([figures.spike.mean_step for figures in group])

    def at_end(group: Sequence[TwoSequenceFigures]) -> str:
        return mean_percent([figures.spike.end_accuracy for figures in group])

    def at_cut(group: Sequence[TwoSequenceFigures]) -> str:
        return mean_percent([figures.cut[CUT - 1] for figures in group])

    rows = [
        ("RC, first spike: accuracy", "95.45 %", accuracy(rc), accuracy(limit)),
        ("RC, first spike: mean step", "14", step(rc), step(limit)),
        ("RC, continued from its last weights: accuracy", "", accuracy(more), accuracy(limit)),
        ("RC, continued from its last weights: mean step", "", step(more), step(limit)),
        ("EOS, at the end", "96.84 %", at_end(eos), at_end(limit)),
        (f"EOS, cut at step {CUT}", "89 %", at_cut(eos), at_cut(limit)),
        ("EOS, first spike: accuracy", "96.32 %", accuracy(eos), accuracy(limit)),
        ("EOS, first spike: mean step", "23", step(eos), step(limit)),
        ("all steps, first spike: accuracy", "", accuracy(all_steps), accuracy(limit)),
        ("all steps, first spike: mean step", "", step(all_steps), step(limit)),
        ("all steps by certainty, first spike: accuracy", "", accuracy(certainty), accuracy(limit)),
        ("all steps by certainty, first spike: mean step", "", step(certainty), step(limit)),
    ]
    return [*markdown_table(("at threshold 0.95", "paper", "ours", "limit"), rows), "", below_the_limit(result)]


def below_the_limit(result: TwoSequenceResult) -> str:
    def points(name: str) -> str:
        return " and ".join(f"{cell(values)} by {bound}" for bound, values in result.compared.farthest[name].items())

    return (
        f"The largest gap in accuracy to the optimal test at the same mean step, {STEPS[0]} to {STEPS[-1]}, in points: "
        f"best of β {points(BEST)}; all steps {points('all steps more')}; by certainty {points('certainty more')}."
    )


def curve_table(result: TwoSequenceResult) -> list[str]:
    """Accuracy at the same mean step: every kind of run beside the limit, by each way of stopping."""
    compared = result.compared
    names = list(compared.accuracy[ONE])
    lines = [
        "",
        "## Speed against accuracy",
        "",
        "Accuracy (%) at the same mean step, by the threshold at inference; – where a curve does not reach.",
        "`rc` and `eos` are the paper's runs; those that continue from the last weights of `rc` or `all steps` have a "
        "falling learning rate. The best of β is chosen at each mean step on these same sequences. Falling thresholds "
        "are fitted to each network's outputs on other sequences.",
    ]
    for way in compared.limit:
        title = ("mean step", f"limit, {way}", "EOS, cut", *names)
        lines += ["", f"By {way}:", "", *markdown_table(title, list(way_rows(result, way, names)))]
    gaps = [(bound, *(cell(compared.farthest[name][bound]) for name in names)) for bound in compared.limit]
    return [
        *lines,
        "",
        "By one threshold, farthest below the limit of each way of stopping:",
        "",
        *markdown_table(("limit", *names), gaps),
        "",
        "![speed against accuracy](curve.png)",
        "",
        "![through training](times.png)",
        "",
    ]


def way_rows(result: TwoSequenceResult, way: str, names: Sequence[str]) -> Iterator[Sequence[object]]:
    compared = result.compared
    for i, step in enumerate(compared.steps):
        cut = cell([run.figures.cut[step - 1] for run in result.runs["eos"]])
        at = (cell([seed[i] for seed in compared.accuracy[way][name]]) for name in names)
        yield step, cell([compared.limit[way][i]]), cut, *at


def cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return mean_and_spread(known, 0.01) if len(known) == len(values) else "–"


def plot_examples(path: Path) -> None:
    """Figure 2A: sequences of both classes, with little and much noise."""
    from matplotlib.figure import Figure

    sequences, labels = draw_test_sequences(200)
    noise = sequences.std(axis=1)
    panels = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, label in zip(panels.subplots(1, 2, sharey=True), (1, 0), strict=True):
        rows = np.flatnonzero(labels == label)
        for row in rows[np.argsort(noise[rows])][:: len(rows) // 3]:
            axes.plot(range(1, TWO_STEPS + 1), sequences[row], alpha=0.8)
        axes.set(title=f"mean {'+' if label else '-'}0.05", xlabel="step")
    panels.savefig(path, dpi=120)


def plot_times(runs: Runs, path: Path) -> None:
    """Figure 2B: quartiles of the first spike's step on validation through training, of the first seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, color in (("rc", "tab:blue"), ("eos", "tab:orange")):
        history = runs[name][0].history
        examples, low, high = (
            [row.examples for row in history],
            [row.q1_step for row in history],
            [row.q3_step for row in history],
        )
        axes.fill_between(examples, low, high, color=color, alpha=0.2)
        axes.plot(
            examples, [row.median_step for row in history], color=color, label=f"{name.upper()}: median and quartiles"
        )
    axes.set(xlabel="training examples", ylabel="step of the first spike", ylim=(0, TWO_STEPS + 1))
    axes.legend()
    figure.savefig(path, dpi=120)


def plot_curves(result: TwoSequenceResult, path: Path) -> None:
    """Accuracy against mean step: every kind of run over thresholds, the conventional one cut, and the limits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, (name, group) in enumerate(result.runs.items()):
        for j, run in enumerate(group):
            draw_curve(axes, run.figures.curve, color=f"C{i}", alpha=0.7, label=None if j else name)
    for j, run in enumerate(result.runs["eos"]):
        cut = [StepPoint(accuracy, step) for step, accuracy in enumerate(run.figures.cut, start=1)]
        draw_curve(axes, cut, color="tab:gray", linestyle=":", label=None if j else "eos, cut at a fixed step")
    draw_curve(axes, result.limit.curve, color="black", label="limit, one threshold")
    draw_curve(axes, result.limit.falling, color="black", linestyle="--", label="limit, falling thresholds")
    axes.set(xlabel="mean step of the answer", ylabel="accuracy (%)", xlim=(4, TWO_STEPS), ylim=(85, 97.5))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def draw_curve(axes: Any, curve: Sequence[StepPoint], **style: Any) -> None:
    ordered = sorted(curve, key=lambda point: point.mean_step)
    axes.plot([point.mean_step for point in ordered], [100 * point.accuracy for point in ordered], **style)
