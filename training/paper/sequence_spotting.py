"""Section 3.1 of the paper, figure 1: is there a run of five equal steps among 25, told as soon as it is known.

Beside the paper's two runs, a shorter one that goes on from the rank-coded network at a higher threshold: until a class
is certain it is up to 15/16 likely (`spotting_posterior`), which a network hardly tells from the paper's 0.95. All are
held against the Bayes-optimal observer, who is measured by the same code.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.run_pool import grouped, mean_and_spread, over_seeds, percent, run_all
from training.paper.sequences import RUN, SPOTTING_STEPS, earliest, spotting, spotting_posterior
from training.paper.toy import THETA, Floats, Integers, SequenceNetwork, ToySettings, answers, probabilities, train
from training.reports import model_card as report

FRESH, QUICK_FRESH = 100_000, 4000  # test sequences
FULL = {"examples": 1_500_000}
QUICK = {"examples": 160_000, "hidden": 24, "learning_rate": 0.01, "clip_norm": 0.1}
# Of the run that goes on, whose learning rate falls to zero
FULL_MORE, QUICK_MORE = {"examples": 750_000, "learning_rate": 1e-3, "clip_norm": 0.25}, {"examples": 20_000}
MORE_THETA, MORE_READ_AT = 0.97, 0.98
THETAS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995)  # at inference
SHOWN = 40  # sequences in the figure
SEED = 30_000  # of the test sequences; MORE_THETA and MORE_READ_AT were chosen on others
BLUE, RED, GREY = "#1f5fbf", "#c8321e", "#b0b0b0"  # positive, negative, no spike
NAMES = {"rc": "RC", "rc more": f"RC, then threshold {MORE_THETA}, read at {MORE_READ_AT}", "eos": "EOS"}


def run(quick: bool, seeds: int, out: Path, command: str) -> None:
    """Train, measure and write report.json, report.md and the figure to `out`."""
    count = QUICK_FRESH if quick else FRESH
    runs = [one for seed in range(seeds) for one in settings(seed, quick)]
    found = grouped(run_all(partial(train, draw=spotting), partial(measure, count=count), runs, out / "runs"))
    sequences, labels = fresh(count)
    result = {
        "measured": report.facts(command, 0),
        "sequences": count,
        "seeds": seeds,
        "runs": found,
        "limit": figures(spotting_posterior(sequences), sequences, labels),
        "shown": sequences[:SHOWN].astype(int).tolist(),
    }
    write(result, out)


def settings(seed: int, quick: bool) -> list[ToySettings]:
    """The runs of one seed: the paper's two, and one that goes on from its rank-coded one."""
    size: dict[str, Any] = QUICK if quick else FULL
    more = {**size, **(QUICK_MORE if quick else FULL_MORE), "theta": MORE_THETA, "theta_low": MORE_THETA}
    rc = ToySettings("rc", "rc", seed=seed, **size)
    return [
        rc,
        ToySettings("eos", "eos", seed=seed, **size),
        ToySettings("rc more", "rc", seed=seed, base=rc, **more),
    ]


def fresh(count: int) -> tuple[Floats, Integers]:
    """The test sequences, the same for every network and for the optimal observer."""
    return spotting(count, np.random.default_rng(SEED))


def measure(network: SequenceNetwork, count: int) -> dict[str, Any]:
    sequences, labels = fresh(count)
    return figures(probabilities(network, sequences), sequences, labels)


def figures(probability: Floats, sequences: Floats, labels: Integers) -> dict[str, Any]:
    """Of outputs [sequences, steps]: by first spike at each threshold, by positive spikes only, at the end."""
    due = earliest(sequences)
    return {
        "first_spike": first_spikes(probability, due, labels, THETA),
        "at_theta": {str(theta): first_spikes(probability, due, labels, theta) for theta in THETAS},
        "positive_only": positive_only(probability, due, labels),
        "end_accuracy": float(((probability[:, -1] >= 0.5) == labels).mean()),
        "shown": probability[:SHOWN].round(3).tolist(),
    }


def first_spikes(probability: Floats, due: Integers, labels: Integers, theta: float) -> dict[str, float]:
    """Accuracy, and when the first spike comes: of positives against the step `due`, of negatives before the end."""
    found = answers(probability, theta)
    positive, spike = labels == 1, found.crossed
    right = spike & (found.label == 1) & positive
    return {
        "accuracy": share(found.label == labels),
        "positives_at_earliest": share(right & (found.step == due), positive),
        "positives_late": share(right & (found.step > due), positive),
        "negatives_before_end": share(spike & (found.step < SPOTTING_STEPS - 1) & (found.label == 0), ~positive),
        "negatives_mean_step": float((found.step + 1)[~positive].mean()),
        "first_is_negative": share(spike & (found.label == 0)),
        "no_spike": share(~spike),
    }


def positive_only(probability: Floats, due: Integers, labels: Integers) -> dict[str, float]:
    """The scheme in which negative spikes are ignored: a sequence is negative unless a positive spike comes."""
    over = probability >= THETA
    said, late, positive = over.any(axis=1), over.argmax(axis=1) - due, labels == 1
    return {
        "accuracy": share(said == positive),
        "positives_at_earliest": share(said & (late == 0), positive),
        "positives_one_late": share(said & (late == 1), positive),
        "positives_later": share(said & (late > 1), positive),
    }


def share(which: Any, among: Any = True) -> float:
    """Of the sequences `among`, the share `which` holds for."""
    return float((which & among).sum() / np.broadcast_to(among, which.shape).sum())


def write(result: Mapping[str, Any], out: Path) -> None:
    """report.json, report.md and figure.png."""
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "report.md").write_text("\n".join([*head(result), *paper_table(result), *theta_table(result)]) + "\n")
    plot(result, out / "figure.png")


def head(result: Mapping[str, Any]) -> list[str]:
    measured = result["measured"]
    return [
        "# Continuous sequence spotting",
        "",
        f"Section 3.1 of the paper. Fresh sequences: {result['sequences']}. Seeds: {result['seeds']}; mean ± standard "
        "deviation over them. The limit is the Bayes-optimal observer, who knows how the sequences are made and stops "
        f"at the same threshold: {THETA} where a row names no other. Shares of positives and of "
        "negatives are of the sequences of that class.",
        "",
        f"`{measured['command']}`, {measured['date']}, {measured['machine']}.",
        "",
    ]


def paper_table(result: Mapping[str, Any]) -> list[str]:
    """The claims of the paper, ours, and what the optimal observer does."""
    early, first, alone = "positives_at_earliest", "first_spike", "positive_only"
    read = ("at_theta", str(MORE_READ_AT))
    rows = [
        ("rc", "accuracy", "100 %", (first, "accuracy")),
        ("rc", "positives answered at the earliest step", "almost all", (first, early)),
        ("rc", "negatives answered before the end", "yes", (first, "negatives_before_end")),
        ("rc", "no spike", "a few, negatives", (first, "no_spike")),
        ("rc more", "accuracy", "", (*read, "accuracy")),
        ("rc more", "positives answered at the earliest step", "", (*read, early)),
        ("rc more", "negatives answered before the end", "", (*read, "negatives_before_end")),
        ("eos", "accuracy at the end", "", ("end_accuracy",)),
        ("eos", "first spike is negative", "always", (first, "first_is_negative")),
        ("eos", "accuracy of the first spike", "", (first, "accuracy")),
        ("eos", "positive only: accuracy", "", (alone, "accuracy")),
        ("eos", "positive only: at the earliest step", "", (alone, early)),
        ("eos", "positive only: one step late", "typical", (alone, "positives_one_late")),
        ("eos", "positive only: later", "", (alone, "positives_later")),
    ]
    lines = ["| | paper | ours | limit |", "| --- | --- | --- | --- |"]
    for name, what, paper, path in rows:
        ours, bound = over_seeds(result["runs"][name], *path), over_seeds([result["limit"]], *path)
        lines.append(f"| {NAMES[name]}: {what} | {paper} | {percent(ours)} | {percent(bound)} |")
    return lines


def theta_table(result: Mapping[str, Any]) -> list[str]:
    """The rank-coded networks at other thresholds."""
    columns = "| run | threshold | accuracy | positives at the earliest step | negatives: mean step |"
    lines = ["", "## Other thresholds at inference", "", columns, "| --- " * 5 + "|"]
    for name, group in {**result["runs"], "limit": [result["limit"]]}.items():
        for theta in map(str, THETAS):
            accuracy = over_seeds(group, "at_theta", theta, "accuracy")
            early = over_seeds(group, "at_theta", theta, "positives_at_earliest")
            step = mean_and_spread(over_seeds(group, "at_theta", theta, "negatives_mean_step"))
            lines.append(f"| {NAMES.get(name, name)} | {theta} | {percent(accuracy)} | {percent(early)} | {step} |")
    return [*lines, "", "![as figure 1 of the paper](figure.png)", ""]


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Figure 1: A inputs, B to D rank coding, E to G the conventional network, of the first seed."""
    from matplotlib.figure import Figure

    sequences = np.array(result["shown"], dtype=np.float64)
    rc, eos = (np.array(result["runs"][name][0]["shown"]) for name in ("rc", "eos"))
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
    """The label of the first spike as an image [rows, 1, 3], and the spikes [rows, steps, 3]: the first or all."""
    found, steps = answers(probability), np.arange(probability.shape[1])
    spikes = np.where(probability >= THETA, 1, np.where(probability <= 1 - THETA, -1, 0))
    if first:
        spikes = np.where(steps == found.step[:, None], spikes, 0)
    label = np.where(found.crossed, 2 * found.label - 1, 0)[:, None]
    return paint(label, GREY), paint(spikes, "#ffffff")


def paint(sign: Integers, none: str) -> Floats:
    """Blue for 1, red for -1, `none` for 0: [rows, columns, 3]."""
    from matplotlib.colors import to_rgb

    table = np.array([to_rgb(none), to_rgb(BLUE), to_rgb(RED)])
    return table[sign]


def shades(probability: Floats, until_spike: bool) -> Floats:
    """Outputs as red (0) over white (0.5) to blue (1), [rows, steps, 3]; white after the first spike."""
    found, steps = answers(probability), np.arange(probability.shape[1])
    if until_spike:
        probability = np.where(steps <= found.step[:, None], probability, 0.5)
    strength = np.abs(2 * probability - 1)[..., None]
    return 1 - strength * (1 - paint((probability >= 0.5) * 2 - 1, "#ffffff"))
