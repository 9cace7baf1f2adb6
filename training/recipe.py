"""Keyword models from folders of recordings: read, train, calibrate on validation, export.

The glue between data, loop, evaluation and export; owns no method of its own.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.spotting.model import MODES, Metadata, Model
from training.data import checks
from training.data import recordings as sc
from training.data.batches import ClipSet, TrainingData
from training.data.corpus import Corpus, as_int16, gain_to_loudness, read_material, read_speech, spoken
from training.evaluation.clips import (
    LEAST_CLIPS,
    LEAST_OTHERS,
    SPEED_LIMITS_S,
    Speeds,
    choose_speeds,
    curve,
    enough_to_choose_on,
    fixed_speeds,
    hear,
)
from training.evaluation.streams import calibrate
from training.learning.answer_windows import SPEED_CONFIRM_MS
from training.learning.checkpoint import RunSettings
from training.learning.loop import order_of, train
from training.model.export import ExportedStep, commit, export
from training.model.frontend import SAMPLE_RATE, FrontEndSettings, front_end_of
from training.model.network import Network, NetworkSettings

REFRACTORY_S = 0.5
EPOCH_STEPS = 50  # batches that an epoch has at least
EPOCHS, FEW_EPOCHS = 60, 20  # the second where weights are begun with, or clips are too few for EPOCH_STEPS
NOISE_S = 10  # of noise, at least; streams of training must fit in
COMPARED_CLIPS = 20  # clips on which torch and onnxruntime must agree before an export is written

Samples = NDArray[np.float32]
PRESETS = {
    # the paper's, section 3.4 and A.4
    "paper": (FrontEndSettings(), NetworkSettings(labels=0)),
    # convolutions see small shifts of pitch and formants as small; 20 ms a step halves the cost
    "conv": (
        FrontEndSettings(bands=40),
        NetworkSettings(
            0, bands=40, channels=(16, 32), stride=2, inputs=96, hidden=160, dense=48, dropout=0.2
        ),
    ),
}  # fmt: skip


def load_data(
    folder: Path, labels: Sequence[str], noise: Sequence[Path], rooms: Sequence[Path], speech: Sequence[Path] = ()
) -> TrainingData:
    """Training and validation clips of a folder, noise, rooms and running speech. Prints what is wrong with them."""
    backgrounds = sc.read_recordings([folder / sc.BACKGROUND, *noise], "train")
    recordings = np.concatenate([each * gain_to_loudness(each) for each in backgrounds] or [np.zeros(2 * sc.CLIP)])
    responses = [sc.direct_sound_first(response) for response in sc.read_recordings(rooms, "train")]
    responses_or_none = np.stack(responses or [sc.direct_sound_first(np.ones(1, np.float32))])
    recordings = np.resize(recordings, max(len(recordings), NOISE_S * SAMPLE_RATE))
    warn(checks.by_name(folder, labels[:-2], bool(backgrounds)))
    clips, samples = read_split(folder, "train")
    validation_clips, validation_samples = read_split(folder, "validation")
    refuse_gaps(folder, labels[:-2], {"train": clips, "validation": validation_clips})
    words = spoken(clips, samples, labels[:-2])
    warn(checks.by_sound([*clips, *validation_clips], [*samples, *validation_samples]))
    warn(checks.by_length(words, labels[:-2]))
    talk = [each for part in speech for each in read_speech(part, labels[:-2], "train")]
    minutes = sum(len(each.samples) for each in talk) / SAMPLE_RATE / 60
    about = f"{folder.name}: {about_clips(clips, 'train')}, {about_clips(validation_clips, 'validation')}, "
    about += f"{len(backgrounds)} background recordings, "
    about += f"{len(responses)} room responses, {minutes:.0f} minutes of running speech"
    print(about)
    return TrainingData(
        about,
        clip_set(clips, samples, labels),
        clip_set(validation_clips, validation_samples, labels),
        torch.from_numpy(recordings).half(),
        torch.from_numpy(responses_or_none),
        Corpus(
            {word: each for word, each in words.items() if word in labels},
            {word: each for word, each in words.items() if word not in labels},
            talk,
            recordings.astype(np.float32),
            responses_or_none,
        ),
    )


def warn(lines: Iterable[str]) -> None:
    for line in lines:
        print("warning:", line)


def read_split(folder: Path, split: str) -> tuple[list[sc.Clip], list[Samples]]:
    """Clips of a split. Prints what was refused."""
    clips, samples, refused = sc.read_clips(sc.find_clips(folder, split))
    for line in refused:
        print("refused", line)
    return clips, samples


def refuse_gaps(folder: Path, keywords: Sequence[str], splits: dict[str, list[sc.Clip]]) -> None:
    """Raise BadData that names every keyword without clips in a split."""
    gaps = {split: sorted(set(keywords) - {clip.word for clip in clips}) for split, clips in splits.items()}
    if found := ", ".join(f"none of {missing} for {split}" for split, missing in gaps.items() if missing):
        raise sc.DatasetError(
            f"{folder}: expected recordings of every keyword, found {found}; a tenth of the speakers (of the "
            "recordings, where names tell no SPEAKER_nohash_) is for validation: record more"
        )


def about_clips(clips: Sequence[sc.Clip], split: str) -> str:
    return f"{len(clips)} {split} clips by {sc.speakers(clips) or 'unnamed'} speakers"


def clip_set(clips: Sequence[sc.Clip], samples: Sequence[Samples], labels: Sequence[str]) -> ClipSet:
    targets = torch.tensor([sc.label_of(clip.word, labels) for clip in clips])
    return ClipSet(torch.from_numpy(as_int16(sc.padded(samples))), targets)


def train_and_export(
    folder: Path, keywords: Sequence[str], noise: Sequence[Path], rooms: Sequence[Path], talk: Sequence[Path],
    settings: dict[str, Any], preset: str, device: str, resume: bool, out: Path,
) -> None:  # fmt: skip
    """`rc-train speech`: a run in `out`, then its best checkpoint as `out`/model.onnx.

    `settings`: some of a run's; `epochs` 0 for as many as suit the data. Where they have a `base`, the network is its.
    Where validation has too few clips to choose by, the last checkpoint is exported.
    """
    labels = sc.labels_for(keywords)
    front_end, network = network_of(settings["base"]) if settings["base"] else PRESETS[preset]
    run = RunSettings(labels, replace(network, labels=len(labels)), front_end, **settings)
    data = load_data(folder, labels, noise, rooms, talk)
    few = order_of(run, data).batches < EPOCH_STEPS
    epochs = run.epochs or (FEW_EPOCHS if few or run.base else EPOCHS)
    run = replace(run, epochs=epochs, steps=EPOCH_STEPS if few else 1)
    train(run, data, out, pick_device(device), resume)
    words = [labels[target] for target in data.validation.targets]
    best = "best.pt" if enough_to_choose_on(words, keywords) else "last.pt"
    export_run(out / best, folder, noise, rooms, talk, out)


def network_of(checkpoint: str) -> tuple[FrontEndSettings, NetworkSettings]:
    settings = RunSettings.from_dict(load_checkpoint(Path(checkpoint))["settings"])
    return settings.front_end, settings.network


def pick_device(name: str) -> torch.device:
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def export_run(
    checkpoint: Path, folder: Path, noise: Sequence[Path], rooms: Sequence[Path], talk: Sequence[Path], out: Path
) -> Metadata:
    """Export the checkpoint of a run to `out`/model.onnx, its speeds chosen on validation.

    On the clips of `folder`, and for endless streams, where there is running speech, on streams of these. Thresholds
    are fixed where there are too few clips.
    """
    saved = load_checkpoint(checkpoint)
    labels = saved["settings"]["labels"]
    clips, samples, _ = sc.read_clips(sc.find_clips(folder, "validation"))
    with tempfile.TemporaryDirectory() as draft:
        model = Model(export_uncalibrated(saved, samples, Path(draft) / out.name))
    targets = [labels[sc.label_of(clip.word, labels)] for clip in clips]
    heard = hear(model, samples, targets)
    points = curve(model, heard)
    model.metadata = metadata = replace(model.metadata, curve=points, confirm_ms=SPEED_CONFIRM_MS if talk else {})
    if enough_to_choose_on(targets, metadata.keywords):
        speeds = choose_speeds(model, heard, points)
    else:
        few = f"fewer than {LEAST_CLIPS} validation clips of a keyword or {LEAST_OTHERS} others, so fixed thresholds"
        warn([few])
        speeds, metadata = fixed_speeds(model), replace(metadata, data=f"{metadata.data}; {few}")
    if talk:
        material = read_material(folder, labels[:-2], "validation", noise, rooms, talk)
        for speed, thresholds in calibrate(model, material).items():
            speeds[speed]["continuous"] |= thresholds
    metadata = replace(metadata, speeds=speeds)
    export(spotter_of(saved), metadata, samples[:: max(1, len(samples) // COMPARED_CLIPS)], out / "model.onnx")
    return metadata


def export_uncalibrated(saved: dict[str, Any], samples: Sequence[Samples], folder: Path) -> Path:
    """Export a checkpoint with its training threshold for every speed; returns the file."""
    labels, theta = saved["settings"]["labels"], saved["settings"]["theta"]
    modes = dict.fromkeys(MODES, dict.fromkeys(labels, theta))
    metadata = describe(saved, folder.name, dict.fromkeys(SPEED_LIMITS_S, modes))
    export(spotter_of(saved), metadata, samples[:: max(1, len(samples) // COMPARED_CLIPS)], folder / "model.onnx")
    return folder / "model.onnx"


def load_checkpoint(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise sc.DatasetError(f"{path}: expected the checkpoint of a run, best.pt or last.pt")
    return torch.load(path, map_location="cpu", weights_only=True)


def spotter_of(saved: dict[str, Any]) -> ExportedStep:
    """Front-end and averaged network of a checkpoint."""
    settings = RunSettings.from_dict(saved["settings"])
    front_end = front_end_of(settings.front_end)
    front_end.load_state_dict(saved["front_end"])
    network = Network(settings.network)
    prefix = "module."
    averaged = {k.removeprefix(prefix): v for k, v in saved["average"].items() if k.startswith(prefix)}
    network.load_state_dict(averaged)
    return ExportedStep(front_end, network)


def describe(saved: dict[str, Any], name: str, speeds: Speeds) -> Metadata:
    """The metadata of an export; its curve is still empty."""
    settings = RunSettings.from_dict(saved["settings"])
    return Metadata(
        format_version=1,
        name=name,
        version=f"{date.today():%Y.%m.%d}",
        labels=settings.labels,
        keywords=settings.labels[:-2],
        sample_rate=SAMPLE_RATE,
        hop=settings.front_end.hop * settings.network.stride,
        window=settings.front_end.window,
        look_ahead=settings.front_end.hop * Network(settings.network).look_ahead,
        method=settings.method,
        theta=settings.theta,
        beta=settings.beta,
        speeds=speeds,
        refractory_s=REFRACTORY_S,
        curve=[],
        data=saved["data"] + ("; begun with the weights of an earlier run" if settings.base else ""),
        seed=settings.seed,
        commit=commit(),
    )
