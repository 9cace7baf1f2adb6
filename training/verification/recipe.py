"""A verifier for an exported model: mine its candidates, train, calibrate, and write it beside the model."""

import hashlib
from dataclasses import replace
from pathlib import Path

from service.spotting.metadata import Metadata
from service.spotting.model import Model
from training.data.corpus import read_corpus
from training.data.labels import Labels
from training.data.recordings import DatasetError, read_split
from training.data.sources import DataSources
from training.model.export import change_metadata
from training.model.frontend import SAMPLE_RATE
from training.model.verifier_network import WINDOW, export_verifier
from training.verification.calibration import (
    VERIFIED,
    candidate_speeds,
    verifier_thresholds,
    with_candidates,
)
from training.verification.examples import AFTER_MS, mine_examples
from training.verification.head_training import train_verifier


def add_verifier(folder: Path, sources: DataSources, hours: float, seed: int) -> Metadata:
    """`rc-train verifier`: the metadata of the model as it is then.

    Trained on the training split, calibrated on the validation split. Raises DatasetError without running speech.
    """
    if not sources.speech:
        raise DatasetError("expected folders of running speech (--speech), on which false alarms are counted, got none")
    remove_verifier(folder)
    model = Model(folder)
    labels = Labels(model.metadata.keywords)
    train = read_corpus(sources, labels, "train", read_split(sources.recordings, "train"))
    examples = mine_examples(model, train, hours, seed)
    false = int((examples.targets == len(labels.keywords)).sum())
    print(f"{len(examples.targets) - false} candidates that are keywords, {false} that are none", flush=True)
    content = export_verifier(train_verifier(examples, len(labels.keywords), seed))
    validation = read_corpus(sources, labels, "validation", read_split(sources.recordings, "validation"))
    metadata = with_candidates(model.metadata, candidate_speeds(model, validation))
    (folder / "verifier.onnx").write_bytes(content)
    metadata = replace(metadata, verifier=description(content, dict.fromkeys(labels.keywords, 0.0)))
    change_metadata(folder, metadata)
    thresholds = verifier_thresholds(Model(folder), validation)
    metadata = replace(metadata, verifier={**metadata.verifier, "thresholds": thresholds})
    change_metadata(folder, metadata)
    return metadata


def description(content: bytes, thresholds: dict[str, float]) -> dict[str, object]:
    """The entry of the metadata, with the same thresholds at every verified speed."""
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "window_s": WINDOW / SAMPLE_RATE,
        "after_ms": AFTER_MS,
        "thresholds": dict.fromkeys(VERIFIED, thresholds),
    }


def remove_verifier(folder: Path) -> None:
    """Leave the model alone in its folder. Its speeds keep the thresholds of candidates, which will be chosen again."""
    if Model(folder).metadata.verifier:
        change_metadata(folder, replace(Model(folder).metadata, verifier={}))
        (folder / "verifier.onnx").unlink()
