"""Section 3.4 of the paper, figures 4 and 5: spoken keywords by rank coding, from the last step, and by two controls.

Beyond the paper: thresholds of their own for every tenth of a second, tuned on validation, and what an epoch costs.
Owns the runs and what is measured of them; `speech_study_report` tells it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training import recipe as speech
from training.data import recordings as sc
from training.data.augment import AugmentSettings
from training.data.batches import ClipSet, TrainingData
from training.evaluation.clips import accuracy_at
from training.learning.checkpoint import RunSettings
from training.learning.loop import CHUNK, NOT_KEYWORDS, order_of, posteriors, step_seconds, train
from training.learning.rank_coding import first_crossing
from training.model.network import Network, NetworkSettings
from training.paper import speech_study_report
from training.reports import model_card as report
from training.studies.rc_vs_eos import SECONDS

THETA = 0.95
BETAS, EOS_BETAS, QUICK_BETAS = (0.0, 0.1, 0.2, 0.3, 0.4), (0.2, 0.4), (0.0, 0.3)
CONTROL_SEEDS = 1  # of the runs that rank coding is far ahead of, each of which costs as much as EOS
FULL: dict[str, Any] = {"epochs": 10, "batch": 32}
QUICK: dict[str, Any] = {"epochs": 8, "batch": 8, "steps": 30, "learning_rate": 4e-3}
QUICK_NETWORK = NetworkSettings(labels=0, channels=(4, 8), stride=2, inputs=24, hidden=32, dense=16)
QUICK_CLIPS = 1000  # of each split
AUGMENT = replace(AugmentSettings().at(0.0), shift_s=0.1)  # clips a little earlier or later; the paper tells of none

THETAS = [1 - gap for gap in np.geomspace(0.9, 1e-6, 48).tolist()] + [1.1]  # at inference; the last: at the end
BLOCKS = 10  # spans of a clip with a threshold each
COSTS = np.geomspace(30.0, 0.01, 14).tolist()  # of accuracy for a second of waiting, where thresholds are tuned
SWEEPS = 2  # over the blocks


class Heard(NamedTuple):
    """Clips as a network heard them: its largest output after each step, and whether it is the right one."""

    sure: Tensor  # [clips, steps]
    right: Tensor  # bool [clips, steps]
    step_s: float


def run(folder: Path, keywords: Sequence[str], device: str, quick: bool, seeds: int, out: Path, command: str) -> None:
    """`rc-train speech --study`: train what is not yet there, measure, and write report and figures to `out`."""
    torch.set_num_threads(1)  # CPU seconds count work then, not threads that wait for each other
    labels = sc.labels_for(keywords)
    data, test = read(folder, labels, quick)
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(seeds):
        for name, settings in runs(labels, seed, quick).items():
            print(f"{name}, seed {seed}")
            here = out / "runs" / f"{name} seed {seed}"
            done = train(settings, data, here, speech.pick_device(device), resume=(here / "last.pt").exists())
            measured = measure(here, data.validation, test)
            one = {"settings": asdict(settings), "history": done.history, **measured}
            found.setdefault(name, []).append(one)
    result = {
        "measured": report.facts(command, 0),
        "data": data.about,
        "clips": {"epoch": order_of(settings, data).batches * settings.batch, "test": len(test.targets)},
        "seeds": seeds,
        "flop_a_step": flop_a_step(settings),
        "runs": found,
        "compared": compare(found),
    }
    (out / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    speech_study_report.write(result, out)


def read(folder: Path, labels: tuple[str, ...], quick: bool) -> tuple[TrainingData, ClipSet]:
    """Training and validation data and the test clips."""
    data = speech.load_data(folder, labels, [], [])
    clips, samples = speech.read_split(folder, "test")
    test = speech.clip_set(clips, samples, labels)
    data = data._replace(about=f"{data.about}; {speech.about_clips(clips, 'test')}")
    if not quick:
        return data, test
    return data._replace(train=some(data.train), validation=some(data.validation)), some(test)


def some(clips: ClipSet) -> ClipSet:
    """About QUICK_CLIPS of them, of all words."""
    every = max(1, len(clips.targets) // QUICK_CLIPS)
    return ClipSet(clips.samples[::every], clips.targets[::every])


def runs(labels: tuple[str, ...], seed: int, quick: bool) -> dict[str, RunSettings]:
    """The runs of one seed by name: Algorithm 1 as published for every β, EOS, all steps; more of the first seeds."""
    betas, eos_betas, size = (QUICK_BETAS, (), QUICK) if quick else (BETAS, EOS_BETAS, FULL)
    front_end, network = speech.PRESETS["paper"]
    common = RunSettings(
        labels, replace(QUICK_NETWORK if quick else network, labels=len(labels)), front_end, AUGMENT,
        theta=THETA, theta_low=THETA, patience=size["epochs"], seed=seed, streams=False, carry_share=0.0, **size,
    )  # fmt: skip
    kinds = [*(("rc", beta) for beta in betas), ("eos", 0.0), ("all-steps", 0.0)]
    if seed < CONTROL_SEEDS:
        kinds += [*(("eos", beta) for beta in eos_betas), ("max-pool", 0.0)]
    return {
        f"{method} beta {beta}" if beta or method == "rc" else method: replace(common, method=method, beta=beta)
        for method, beta in kinds
    }


def flop_a_step(settings: RunSettings) -> float:
    """Floating-point operations of one sequence and step, forward and backward.

    In double precision, as torch's counter does not see into its LSTM in single.
    """
    network = Network(settings.network).double()
    features = torch.zeros(1, CHUNK * settings.network.stride, settings.network.bands).double()
    state = {name: value.double() for name, value in network.initial_state(1).items()}
    with FlopCounterMode(display=False) as counter:
        network(features, state)[0].sum().backward()
    return counter.get_total_flops() / CHUNK


def measure(folder: Path, validation: ClipSet, test: ClipSet) -> dict[str, Any]:
    """Curves on both splits by one threshold and by thresholds a block, which validation chose; test is heard once.

    Of the weights with the most accurate spikes at THETA on validation, as in the paper, or of the last ones where
    their whole curve there is the better: what is best at one threshold need not be at others.
    """
    saved = {name: speech.load_checkpoint(folder / f"{name}.pt") for name in ("best", "last")}
    tried = {name: hear(each, validation) for name, each in saved.items()}
    chosen = max(tried, key=lambda name: np.mean(accuracy_at(curve(tried[name]), SECONDS)))
    on = {"validation": tried[chosen], "test": hear(saved[chosen], test)}
    tuned = [tune(on["validation"], cost) for cost in COSTS]
    return {
        "weights": chosen,
        "blocks": [[round(theta, 4) for theta in each[:: -(-len(each) // BLOCKS)].tolist()] for each in tuned],
        **{
            split: {
                "spike": point(heard, THETA),
                "one threshold": curve(heard),
                "by block": [point(heard, theta) for theta in tuned],
            }
            for split, heard in on.items()
        },
    }


def hear(saved: dict[str, Any], clips: ClipSet) -> Heard:
    """Max-pooling learns all that is no keyword at every step, the first too: its keywords alone may spike."""
    spotter = speech.spotter_of(saved)
    settings = RunSettings.from_dict(saved["settings"])
    outputs = posteriors(spotter.front_end, spotter.network, clips.samples)
    one = step_seconds(torch.zeros(1), settings)
    spiking = outputs[..., :-NOT_KEYWORDS] if settings.method == "max-pool" else outputs
    return Heard(spiking.amax(2), outputs.argmax(2) == clips.targets[:, None], one)


def point(heard: Heard, theta: Tensor | float) -> dict[str, float]:
    """Accuracy and mean decision time, look-ahead included, at one threshold or at one for each step."""
    step, _ = first_crossing(heard.sure[:, :, None], torch.as_tensor(theta).reshape(1, -1, 1))
    right = heard.right.gather(1, step[:, None]).float().mean().item()
    return {"decision_time_s": (step + 1).float().mean().item() * heard.step_s, "accuracy": right}


def curve(heard: Heard) -> list[dict[str, float]]:
    return [{"threshold": theta, **point(heard, theta)} for theta in THETAS]


def tune(heard: Heard, cost: float) -> Tensor:
    """Thresholds [steps], one a block, that gain most accuracy less `cost` a second: search, a block at a time.

    It begins with the best threshold for all blocks, so on these clips it is never worse than that.
    """

    def gain(theta: Tensor | float) -> float:
        found = point(heard, theta)
        return found["accuracy"] - cost * found["decision_time_s"]

    steps = heard.sure.shape[1]
    width = -(-steps // BLOCKS)
    theta = torch.full((steps,), max(THETAS, key=gain))
    for _ in range(SWEEPS):
        for start in range(0, steps, width):
            here = torch.arange(start, min(start + width, steps))
            theta = max([theta, *(theta.index_fill(0, here, each) for each in THETAS[::2])], key=gain)
    return theta


def compare(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Test accuracy at the mean times SECONDS, a list for each seed: of every kind of run, and of the best β."""
    result: dict[str, Any] = {"seconds": SECONDS}
    for way in ("one threshold", "by block"):
        at = {name: [accuracy_at(one["test"][way], SECONDS) for one in group] for name, group in found.items()}
        rc = [group for name, group in found.items() if name.startswith("rc")]
        result[way] = {"rc, best β": [best_beta(seed, way) for seed in zip(*rc, strict=True)], **at}
    return result


def best_beta(seed: Sequence[dict[str, Any]], way: str) -> list[float]:
    """The composite curve of a seed's rank-coded runs: at each mean time that which is best on validation."""
    validation, test = (
        np.array([accuracy_at(one[split][way], SECONDS) for one in seed]) for split in ("validation", "test")
    )
    return [float(value) for value in test[validation.argmax(axis=0), np.arange(len(SECONDS))]]
