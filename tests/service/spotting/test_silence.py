"""Silence that needs no model: the same frames however the audio is cut, and the model as if they had been cut out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from service.spotting.audio import FULL_SCALE, Pcm, Samples, to_float
from service.spotting.classify import classify
from service.spotting.engine import Engine
from service.spotting.events import Detection
from service.spotting.metadata import FrameScores
from service.spotting.model import Model, State
from service.spotting.silence import SilenceRule
from service.spotting.spotter import Spotter
from tests.support.events import detections
from tests.support.speech import synthesize
from tests.support.tone_model import HOP, LABELS, METADATA, tone_model

LEVEL, FRAMES = 0.01, 5
RULE = SilenceRule(LEVEL, FRAMES)
SILENT = LABELS.index("_silence_")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silence")
    metadata = replace(METADATA, silence={"level": LEVEL, "after_s": FRAMES * HOP / 16000})
    onnx.save(tone_model(metadata), path / "model.onnx")
    return path


@pytest.fixture
def quiet_model(folder: Path) -> Model:
    """A model with the rule."""
    return Model(folder)


def talk(seed: int) -> Samples:
    """Words with noise below the level between them, for 0 to 0.4 s."""
    rng = np.random.default_rng(seed)
    words = [synthesize(str(word), seed=seed) for word in rng.choice(["yes", "no"], 5)]
    pauses = [rng.uniform(-LEVEL, LEVEL, int(length)).astype(np.float32) for length in rng.integers(0, 6400, 5)]
    samples = np.concatenate([piece for pair in zip(words, pauses, strict=True) for piece in pair])
    integers = np.rint(samples * FULL_SCALE).astype(np.int16)
    return to_float(integers[: len(integers) // HOP * HOP])


def silent_frames(samples: Samples) -> NDArray[np.bool_]:
    """The rule, written the long way."""
    quiet = [np.abs(hop).max() <= np.float32(LEVEL) for hop in samples.reshape(-1, HOP)]
    return np.array([i >= FRAMES and all(quiet[i - FRAMES : i + 1]) for i in range(len(quiet))])


def cut(samples: Pcm, frames: Sequence[int]) -> list[Pcm]:
    """The audio in pieces that end with these frames, and the rest."""
    bounds = pairwise([0, *frames, len(samples) // HOP])
    return [samples[start * HOP : stop * HOP] for start, stop in bounds if start < stop]


def run_in_pieces(model: Model, samples: Pcm, frames: Sequence[int]) -> tuple[FrameScores, State]:
    """Scores [frames, labels] of audio cut so, and the state after it."""
    state, scores = model.initial_state(1), []
    for piece in cut(samples, frames):
        part, state = model.run(piece[np.newaxis], state)
        scores.append(part[0])
    return np.concatenate(scores), state


@pytest.mark.parametrize("seed", range(4))
def test_the_same_frames_are_silent_however_audio_is_cut_and_whatever_its_type(seed: int) -> None:
    samples = talk(seed)
    expected = silent_frames(samples)
    assert 10 < expected.sum() < len(expected) - 100
    rng = np.random.default_rng(seed)
    for audio in (samples, np.rint(samples * FULL_SCALE).astype(np.int16)):
        quiet, got = np.zeros(1, np.float32), []
        for piece in cut(audio, sorted(rng.integers(0, len(expected), 60).tolist())):
            silent, quiet = RULE.apply(piece.reshape(1, -1, HOP), quiet)
            got.append(silent[0])
        np.testing.assert_array_equal(np.concatenate(got), expected)


def test_a_sample_at_the_level_is_quiet_and_one_above_it_is_not() -> None:
    level = np.float32(LEVEL)
    for sample, loud in ((level, False), (-level, False), (np.nextafter(level, 1), True), (np.float32(-1), True)):
        hops = np.zeros((1, 2 * FRAMES, HOP), np.float32)
        hops[0, 1, 7] = sample
        silent, quiet = RULE.apply(hops, np.zeros(1, np.float32))
        assert (silent.sum(), quiet[0]) == (FRAMES - 2 * loud, FRAMES)
    loudest = np.full((1, FRAMES + 1, HOP), -FULL_SCALE, np.int16)  # its absolute value does not fit in int16
    assert not RULE.apply(loudest, np.zeros(1, np.float32))[0].any()


@pytest.mark.parametrize("seed", range(4))
def test_the_model_scores_as_if_silent_frames_had_been_cut_out(quiet_model: Model, model: Model, seed: int) -> None:
    samples = talk(seed)
    silent = silent_frames(samples)
    scores, state = run_in_pieces(quiet_model, samples, [])
    others, after = run_in_pieces(model, samples.reshape(-1, HOP)[~silent].ravel(), [])
    np.testing.assert_allclose(scores[~silent], others, atol=1e-5)
    np.testing.assert_array_equal(scores[silent], np.eye(len(LABELS), dtype=np.float32)[[SILENT] * silent.sum()])
    for name, array in after.items():
        np.testing.assert_allclose(state[name], array, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_scores_do_not_depend_on_how_audio_is_cut(quiet_model: Model, size: int) -> None:
    samples = talk(1)
    whole, state = run_in_pieces(quiet_model, samples, [])
    pieces, after = run_in_pieces(quiet_model, samples, range(size, len(whole), size))
    np.testing.assert_allclose(pieces, whole, atol=1e-5)
    for name, array in after.items():
        np.testing.assert_allclose(state[name], array, atol=1e-5)


def test_streams_that_share_a_run_keep_their_own_silence(quiet_model: Model) -> None:
    streams = [talk(seed) for seed in range(6)]
    frames = min(len(samples) for samples in streams) // HOP
    audio = np.stack([samples[: frames * HOP] for samples in streams])
    state, got = quiet_model.initial_state(len(streams)), []
    for start in range(0, frames, 2):
        scores, state = quiet_model.run(audio[:, start * HOP : (start + 2) * HOP], state)
        got.append(scores)
    for row, samples in zip(np.concatenate(got, axis=1), audio, strict=True):
        np.testing.assert_allclose(row, run_in_pieces(quiet_model, samples, [])[0], atol=1e-5)


def test_a_stream_and_a_file_have_the_same_detections(quiet_model: Model) -> None:
    for seed in range(4):
        samples = talk(seed)
        spotter, stream = Spotter(quiet_model), Spotter(quiet_model)
        file = spotter.push(samples) + spotter.flush()
        cut = [event for start in range(0, len(samples), 333) for event in stream.push(samples[start : start + 333])]
        expected = [(event.label, event.frame) for event in detections(file)]
        assert [(event.label, event.frame) for event in detections(cut + stream.flush())] == expected
        (result,) = classify(quiet_model, [("a", samples)], mode="continuous")
        assert result.detections
        assert [(event.label, event.frame) for event in result.detections] == expected


async def test_an_engine_runs_the_model_on_what_is_not_silent(
    quiet_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, infer, run = talk(0), Model._infer, 0

    def counting(self: Model, audio: Pcm, state: State) -> tuple[FrameScores, State]:
        nonlocal run
        run += audio.size // HOP
        return infer(self, audio, state)

    monkeypatch.setattr(Model, "_infer", counting)
    scores: list[FrameScores] = []
    engine = Engine(quiet_model, asyncio.get_running_loop(), lambda run: None, perf_counter)
    slot = engine.open(lambda more, peak, run: scores.extend(more), lambda error: pytest.fail(str(error)))
    for start in range(0, len(samples), 2 * HOP):
        slot.push(np.rint(samples[start : start + 2 * HOP] * FULL_SCALE).astype(np.int16))
    frames = len(samples) // HOP
    async with asyncio.timeout(5):
        while len(scores) < frames:
            await asyncio.sleep(0.001)
    silent = silent_frames(samples)
    assert run == frames - silent.sum()
    np.testing.assert_allclose(scores, run_in_pieces(quiet_model, samples, [])[0], atol=1e-5)


def test_a_long_silence_answers_an_utterance(quiet_model: Model) -> None:
    spotter = Spotter(quiet_model, mode="utterance")
    (event,) = spotter.push(np.zeros(2 * FRAMES * HOP, np.float32))
    assert isinstance(event, Detection)
    assert (event.label, event.score, event.frame) == ("_silence_", 1.0, FRAMES)


def test_the_rule_can_be_off(folder: Path, model: Model) -> None:
    samples = talk(0)
    off = Model(folder, skip_silence=False)
    assert list(off.initial_state(1)) == list(model.initial_state(1))
    np.testing.assert_array_equal(run_in_pieces(off, samples, [])[0], run_in_pieces(model, samples, [])[0])
