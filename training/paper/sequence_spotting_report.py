"""How section 3.1 of the paper is reported: README.md, data.json and the figure. Every number is from the result."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.sequence_spotting import DEPARTURES, MORE_THETA, THETAS, SequenceSpottingResult, SpottingFigures
from training.paper.sequences import RUN, Floats, Integers, earliest, spotting_posterior
from training.paper.toy import THETA, answers
from training.reports.markdown import markdown_table, mean_and_spread, mean_percent

READ_AT = 0.98  # threshold at which the run that continues is read
READ_DEPARTURES = ("0.95", "0.98")
BLUE, RED, GREY = "#1f5fbf", "#c8321e", "#b0b0b0"  # positive, negative, no spike
NAMES = {
    "rc": "RC",
    "rc more": f"RC, then threshold {MORE_THETA}, read at {READ_AT}",
    "all steps more": f"all steps, read at {READ_AT}",
    "certainty more": f"all steps by certainty, read at {READ_AT}",
    "eos": "EOS",
}


def write(result: SequenceSpottingResult, out: Path) -> None:
    """README.md, data.json and figure.png."""
    result.write(out / "data.json")
    (out / "README.md").write_text("\n".join([*head(result), *paper_table(result), *theta_table(result)]) + "\n")
    plot(result, out / "figure.png")


def head(result: SequenceSpottingResult) -> list[str]:
    return [
        "# Continuous sequence spotting",
        "",
        f"Section 3.1 of the paper. Test sequences: {result.sequences}. Seeds: {result.seeds}; mean ± standard "
        "deviation over them. The limit is the Bayes-optimal observer, who knows how the sequences are made and stops "
        f"at the same threshold: {THETA} where a row names no other. Shares of positives and of "
        "negatives are of the sequences of that class.",
        "",
        f"{result.measured}.",
        "",
    ]


def paper_table(result: SequenceSpottingResult) -> list[str]:
    """The claims of the paper, ours, and what the optimal observer does."""

    def early(figures: SpottingFigures) -> float:
        return figures.first_spike.positives_at_earliest

    read_at: list[tuple[str, str, Callable[[SpottingFigures], float]]] = [
        ("accuracy", "", lambda f: f.at_theta[str(READ_AT)].accuracy),
        ("positives answered at the earliest step", "", lambda f: f.at_theta[str(READ_AT)].positives_at_earliest),
        ("negatives answered before the end", "", lambda f: f.at_theta[str(READ_AT)].negatives_before_end),
    ]
    rows: list[tuple[str, str, str, Callable[[SpottingFigures], float]]] = [
        ("rc", "accuracy", "100 %", lambda f: f.first_spike.accuracy),
        ("rc", "positives answered at the earliest step", "almost all", early),
        ("rc", "negatives answered before the end", "yes", lambda f: f.first_spike.negatives_before_end),
        ("rc", "no spike", "a few, negatives", lambda f: f.first_spike.no_spike),
        *((name, *row) for name in ("rc more", "all steps more", "certainty more") for row in read_at),
        ("eos", "accuracy at the end", "", lambda f: f.end_accuracy),
        ("eos", "first spike is negative", "always", lambda f: f.first_spike.first_is_negative),
        ("eos", "accuracy of the first spike", "", lambda f: f.first_spike.accuracy),
        ("eos", "positive only: accuracy", "", lambda f: f.positive_only.accuracy),
        ("eos", "positive only: at the earliest step", "", lambda f: f.positive_only.positives_at_earliest),
        ("eos", "positive only: one step late", "typical", lambda f: f.positive_only.positives_one_late),
        ("eos", "positive only: later", "", lambda f: f.positive_only.positives_later),
    ]
    table = markdown_table(
        ("", "paper", "ours", "limit"),
        (
            (
                *(f"{NAMES[name]}: {what}", paper),
                *(
                    mean_percent([figure(run.figures) for run in result.runs[name]]),
                    mean_percent([figure(result.limit)]),
                ),
            )
            for name, what, paper, figure in rows
        ),
    )
    return [*table, *departures_table(result)]


def departures_table(result: SequenceSpottingResult) -> list[str]:
    """The paper's run of rank coding with one setting changed; a quick result has none."""
    names = [name for name in result.runs if name in DEPARTURES]

    def rows() -> Iterator[Sequence[str]]:
        for name in ("rc", *names):
            figures = [run.figures.at_theta for run in result.runs[name]]
            read = [[at_theta[theta] for at_theta in figures] for theta in READ_DEPARTURES]
            shares = [[(spikes.accuracy, spikes.positives_at_earliest) for spikes in group] for group in read]
            yield name, *(mean_percent(column) for group in shares for column in zip(*group, strict=True))

    columns = [f"{what}, read at {theta}" for theta in READ_DEPARTURES for what in ("accuracy", "at the earliest step")]
    return ["", "One setting changed:", "", *markdown_table(("run", *columns), rows())] if names else []


def theta_table(result: SequenceSpottingResult) -> list[str]:
    """All networks at other thresholds."""
    groups = {name: [run.figures for run in runs] for name, runs in result.runs.items()} | {"limit": [result.limit]}

    def rows() -> Iterator[Sequence[str]]:
        for name, group in groups.items():
            for theta in map(str, THETAS):
                spikes = [figures.at_theta[theta] for figures in group]
                yield (
                    *(NAMES.get(name, name), theta, mean_percent([spike.accuracy for spike in spikes])),
                    mean_percent([spike.positives_at_earliest for spike in spikes]),
                    mean_and_spread([spike.negatives_mean_step for spike in spikes]),
                )

    columns = ("run", "threshold", "accuracy", "positives at the earliest step", "negatives: mean step")
    title = ["", "## Other thresholds at inference", ""]
    return [*title, *markdown_table(columns, rows()), "", "![as figure 1 of the paper](figure.png)", ""]


def plot(result: SequenceSpottingResult, path: Path) -> None:
    """Figure 1: A inputs, B to D rank coding, E to G the conventional network, of the first seed."""
    from matplotlib.figure import Figure

    sequences = np.array(result.shown, dtype=np.float64)
    rc, eos = (np.array(result.runs[name][0].figures.shown) for name in ("rc", "eos"))
    sheet = Figure(figsize=(15, 6), layout="constrained")
    axes = sheet.subplots(1, 7, width_ratios=[25, 3, 25, 25, 3, 25, 25], sharey=True)
    panel(axes[0], "A: inputs", np.where(sequences == 1, 0.0, 1.0)[..., None].repeat(3, axis=2), sequences)
    panel(axes[1], "B", colours(rc, first=True)[0])
    panel(axes[2], "C: first spikes, RC", colours(rc, first=True)[1], sequences)
    panel(axes[3], "D: activations until the spike, RC", shades(rc, until_spike=True), sequences)
    panel(axes[4], "E", colours(eos, first=True)[0])
    panel(axes[5], "F: all spikes, EOS", colours(eos, first=False)[1], sequences)
    panel(axes[6], "G: activations, EOS", shades(eos, until_spike=False), sequences)
    sheet.savefig(path, dpi=120)


def panel(axes: Any, title: str, image: Floats, sequences: Floats | None = None) -> None:
    """One image [rows, steps, 3], with the sequences' runs of five in rectangles."""
    from matplotlib.patches import Rectangle

    axes.imshow(image, aspect="auto", interpolation="nearest")
    axes.set(title=title, yticks=[], xticks=[] if sequences is None else [0, 12, 24])
    if sequences is None:
        return
    for row, (step, label) in enumerate(zip(earliest(sequences), has_run(sequences), strict=True)):
        if label:
            axes.add_patch(Rectangle((step - RUN + 0.5, row - 0.5), RUN, 1, fill=False, edgecolor="black"))


def has_run(sequences: Floats) -> Any:
    return spotting_posterior(sequences)[:, -1] == 1


def colours(probability: Floats, first: bool) -> tuple[Floats, Floats]:
    """The label of the first spike as an image [rows, 1, 3], and the spikes [rows, steps, 3], the first or all."""
    answered, steps = answers(probability), np.arange(probability.shape[1])
    spikes = np.where(probability >= THETA, 1, np.where(probability <= 1 - THETA, -1, 0))
    if first:
        spikes = np.where(steps == answered.step[:, None], spikes, 0)
    label = np.where(answered.crossed, 2 * answered.label - 1, 0)[:, None]
    return paint(label, GREY), paint(spikes, "#ffffff")


def paint(sign: Integers, none: str) -> Floats:
    """Blue for 1, red for -1, `none` for 0: [rows, columns, 3]."""
    from matplotlib.colors import to_rgb

    table = np.array([to_rgb(none), to_rgb(BLUE), to_rgb(RED)])
    return table[sign]


def shades(probability: Floats, until_spike: bool) -> Floats:
    """Outputs as red (0) over white (0.5) to blue (1), [rows, steps, 3]; white after the first spike."""
    answered, steps = answers(probability), np.arange(probability.shape[1])
    if until_spike:
        probability = np.where(steps <= answered.step[:, None], probability, 0.5)
    strength = np.abs(2 * probability - 1)[..., None]
    return 1 - strength * (1 - paint((probability >= 0.5) * 2 - 1, "#ffffff"))
