"""How section 3.4 of the paper is reported: README.md, data.json and the figures. Every number is from the result."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from training.paper.speech_study import BEST, BLOCK, ONE, WAITING, StudyResult
from training.paper.speech_study_plots import cost_share, epochs, plot_blocks, plot_curves, plot_saving, plot_training
from training.reports.markdown import markdown_table, mean_and_spread

PAPER = {"rc beta 0.0": "below 500", "rc beta 0.2": "about 600", "rc beta 0.4": "1000, the end"}  # spike times in ms


def write(result: StudyResult, out: Path) -> None:
    """README.md, data.json and the four figures."""
    result.write(out / "data.json")
    parts = (head(result), through(result), claim(result), blocks(result), saving(result))
    (out / "README.md").write_text("\n".join(line for part in parts for line in part))
    plot_training(result, out / "training.png")
    plot_curves(result, out / "curve.png")
    plot_blocks(result, out / "thresholds.png")
    plot_saving(result, out / "saving.png")


def head(result: StudyResult) -> list[str]:
    """What was done, and what the paper did otherwise."""
    runs = [run for group in result.runs.values() for run in group]
    settings = runs[0].settings
    hours = sum(row.cpu_s for run in runs for row in run.history) / 3600
    fewer = [name for name, group in result.runs.items() if len(group) < result.seeds]
    return [
        "# Spoken keywords",
        "",
        f"Section 3.4 of the paper. Keywords: {', '.join(result.keywords)}; all other words are `_unknown_`. "
        f"Data: {result.data}.",
        "",
        f"Algorithm 1 as published, θ {settings['theta']}, {settings['epochs']} epochs of {result.epoch_clips} "
        f"clips in batches of {settings['batch']}; {len(runs)} runs, {hours:.1f} hours of one core. "
        "The paper has 1000 epochs of about 85,000 clips, and ten keywords. Unlike it: at most half the clips of an "
        "epoch are other words; silence is a label, some in each batch; the learning rate falls to a fiftieth; "
        "averaged weights are measured; clips move by up to 100 ms.",
        "",
        f"Seeds: {result.seeds}; mean ± standard deviation over them. "
        + (f"Only one for {', '.join(fewer)}, each a side question that costs as much as EOS. " if fewer else "")
        + "Of each run the weights with the most accurate spikes on validation, as in the paper, but for the first few "
        "epochs, in which clips move less; or the last where their whole curve there is better "
        f"({sum(run.figures.weights == 'last' for run in runs)} of {len(runs)}). Times are of audio; they include the "
        "network's look-ahead, which the paper's do not.",
        "",
        f"{result.measured}.",
        "",
    ]


def through(result: StudyResult) -> list[str]:
    """Figure 4, and where its runs ended on test."""
    return ["## At the threshold of training", "", *run_table(result), "", "![through training](training.png)", ""]


def paper_table(result: StudyResult) -> list[str]:
    """The numbers and the claim of the paper, ours beside."""
    claimed = "Rank coding, which the paper says is the more accurate at any speed, against the others by threshold:"
    return [*run_table(result), "", claimed, "", *verdicts(result)]


def run_table(result: StudyResult) -> list[str]:
    """Where every kind of run ended; the paper has no more numbers than these."""

    def rows() -> Iterator[Sequence[str]]:
        for name, group in result.runs.items():
            spikes = [run.figures.test.spike for run in group]
            accuracy = mean_and_spread([spike.accuracy for spike in spikes], 0.01)
            time = mean_and_spread([spike.decision_time_s for spike in spikes], 0.001)
            end = mean_and_spread([run.history[-1].validation_end_accuracy for run in group], 0.01)
            yield name, accuracy, time, PAPER.get(name, ""), end

    last = "validation at the end, last epoch, %"
    return markdown_table(("run", "accuracy, %", "mean decision time, ms", "paper, ms", last), rows())


def claim(result: StudyResult) -> list[str]:
    """Figure 5: whether RC is the more accurate at any speed, as the paper says, and where not."""
    return [
        "## Is rank coding the more accurate at any speed?",
        "",
        "At each mean decision time the rank-coded run whose β is best there on validation, against the others stopped "
        "by threshold. A difference below its spread over seeds, or below the standard error of an accuracy on these "
        f"{result.test_clips} clips, counts as none. Of max-pool only keywords can spike: it trains all else at "
        "every step.",
        "",
        *verdicts(result),
        "",
        "Accuracy (%) on test at the same mean decision time, between two thresholds by a straight line:",
        "",
        *table(result, ONE, list(result.compared[ONE])),
        "",
        "![accuracy against mean decision time](curve.png)",
        "",
    ]


def verdicts(result: StudyResult) -> list[str]:
    """Rank coding with the best β against each other way of training."""
    return [f"- {name}: {verdict(result, (BEST, ONE), (name, ONE))}" for name in result.runs if name[:2] != "rc"]


def verdict(result: StudyResult, own: tuple[str, str], other: tuple[str, str]) -> str:
    """Where one kind of run, by one way of stopping, is more accurate than another, level with it, or less accurate."""
    ours, theirs = (np.array(result.compared[way][name]) for name, way in (own, other))
    gains = ours[: len(theirs)] - theirs
    mean, accuracy = gains.mean(axis=0), ours.mean(axis=0)
    margin = np.maximum(gains.std(axis=0), np.sqrt(accuracy * (1 - accuracy) / result.test_clips))
    outcomes = [
        f"{word} at {', '.join(f'{1000 * s:.0f}' for s, here in zip(result.seconds, at, strict=True) if here)} ms"
        for word, at in {"ahead": mean > margin, "level": abs(mean) <= margin, "behind": mean < -margin}.items()
        if at.any()
    ]
    return f"{'; '.join(outcomes)}; by {100 * mean.min():+.1f} to {100 * mean.max():+.1f} points."


def table(result: StudyResult, way: str, names: Sequence[str]) -> list[str]:
    compared = result.compared[way]

    def rows() -> Iterator[Sequence[str]]:
        for i, seconds in enumerate(result.seconds):
            yield (
                f"{1000 * seconds:.0f}",
                *(mean_and_spread([seed[i] for seed in compared[name]], 0.01) for name in names),
            )

    return markdown_table(("ms", *names), rows())


def blocks(result: StudyResult) -> list[str]:
    """The paper's future work: what thresholds that change through the clip add, alone and with β; and what waiting."""
    return [
        "## Other ways of stopping",
        "",
        "A threshold for every tenth of the clip, searched for on validation after training, at a price for each second"
        f". `rc beta 0.0` has them alone, `{BEST}` both. Against one threshold on the same networks:",
        "",
        *way_lines(result, BLOCK),
        "![thresholds that change](thresholds.png)",
        "",
        "By the value of waiting: an answer comes once a word has begun and one more step is not expected to pay, at a "
        "price for each second. What is expected is regressed on the outputs so far, by backward induction on "
        "validation; a stream has all of it. Against one threshold on the same networks:",
        "",
        *way_lines(result, WAITING),
    ]


def way_lines(result: StudyResult, way: str) -> list[str]:
    """A way of stopping against one threshold, and its accuracy at the same mean decision times."""
    names = [name for name in result.compared[way] if " beta " not in name or name == "rc beta 0.0"]
    return [
        *(f"- {name}: {verdict(result, (name, way), (name, ONE))}" for name in names),
        "",
        "Accuracy (%) on test:",
        "",
        *table(result, way, names),
        "",
    ]


def saving(result: StudyResult) -> list[str]:
    """What an epoch costs by rank coding and from the last step."""

    def rows() -> Iterator[Sequence[str]]:
        for name, group in result.runs.items():
            work = mean_and_spread((epochs(group, "steps_run")[:, -1] * result.flop_per_step).tolist(), 1e9)
            cpu = mean_and_spread(epochs(group, "cpu_s")[:, -1].tolist())
            shares = (
                mean_and_spread(cost_share(result, name, key).mean(axis=1).tolist()) for key in ("steps_run", "cpu_s")
            )
            yield name, work, cpu, *shares

    columns = ("run", "work, last epoch, GFLOP", "CPU, last epoch, s")
    shares = ("work, all epochs, share", "CPU, all epochs, share")
    return [
        "## What an epoch costs",
        "",
        "Work is what the network really ran, forward and backward: steps of sequences, to the end of the chunk of a "
        f"spike, {result.flop_per_step / 1e6:.3f} MFLOP each. CPU time counts features, noise and the optimiser too, "
        "and suffers from what else the machine does. Shares are of EOS in the same epoch.",
        "",
        *markdown_table((*columns, *shares), rows()),
        "",
        "![cost through training](saving.png)",
        "",
    ]
