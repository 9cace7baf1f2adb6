"""A quantised model decides nearly as the original, and no stream affects another."""

from pathlib import Path

import numpy as np
import pytest

from service.spotting.model import Model
from tests.support.toy_dataset import WORDS, write_words
from tests.support.untrained import noise, step_and_metadata
from training.evaluation import quantization
from training.evaluation.quantization import compare_quantized, quantise
from training.model.export import export


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    step, metadata = step_and_metadata("conv")
    folder = tmp_path_factory.mktemp("float")
    export(step, metadata, noise(), folder / "model.onnx")
    return folder


def test_scores_are_close_and_no_stream_changes_those_of_another(exported: Path, tmp_path: Path) -> None:
    clips = [clip[:16_000] for clip in noise(64)]
    quantise(exported, clips, tmp_path / "model.onnx")
    model, small = Model(exported), Model(tmp_path)
    audio = np.stack(clips[:8])
    expected, _ = model.run(audio, model.initial_state(8))
    scores, _ = small.run(audio, small.initial_state(8))
    assert 0 < np.abs(scores - expected).max() < 0.1
    alone, _ = small.run(audio[3:4], small.initial_state(1))
    np.testing.assert_allclose(alone[0], scores[3], atol=1e-6)


def test_both_are_measured_and_the_small_one_is_kept(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "RUNS", 3)
    data = write_words(tmp_path / "words")
    rows = compare_quantized(exported, data, "validation", tmp_path / "small")
    assert [row.weights for row in rows] == ["float32", "int8"]
    assert all(row.clips == 6 * len(WORDS) and row.cpu_ms_per_stream_s > 0 for row in rows)
    model = Model(tmp_path / "small")
    assert model.metadata == Model(exported).metadata
