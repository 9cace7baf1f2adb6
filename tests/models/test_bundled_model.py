"""The bundled model on real speech, where Speech Commands lies: RC_DATA, or ../shared/data."""

from pathlib import Path

import httpx
import numpy as np
import pytest

from clients.connection import Event
from clients.player import Player, PlayerOptions
from clients.sound_file import Recording
from service.spotting.classify import classify
from service.spotting.events import Detection
from service.spotting.files import read_audio
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.paths import DATA, ROOT
from tests.support.server import serving
from training.data.labels import Labels
from training.data.recordings import find_clips, read_clips
from training.evaluation.clips import decide, measure, score_clips

RECORDINGS = DATA / "speech_commands"
MODEL = ROOT / "models" / "speech-commands-rc"
CLIPS = 240

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"needs Speech Commands in {RECORDINGS}; set RC_DATA")


@pytest.fixture(scope="module")
def bundled() -> Model:
    return Model(MODEL)


@pytest.fixture(scope="module")
def clips() -> tuple[list[np.ndarray], list[str]]:
    """Clips at equal distances in the validation split, and their words."""
    validation = find_clips(RECORDINGS, "validation")
    loaded = read_clips(validation[:: len(validation) // CLIPS])
    labels = Labels(Model(MODEL).metadata.keywords)
    return loaded.samples, [labels.name(word) for word in loaded.words]


async def played(url: str, files: list[Path]) -> list[tuple[str, int]]:
    """Label and frame of each file by way of rc-stream's own player."""
    answers = []

    def show(event: Event) -> None:
        if event["type"] == "detection":
            answers.append((event["label"], event["frame"]))

    async with Player(PlayerOptions(url, mode="utterance", realtime=False)) as player:
        for file in files:
            await player.play(Recording(file), show)
    return answers


def streamed(model: Model, clip: np.ndarray, chunk: int) -> tuple[str, int]:
    """Label and frame of a clip that comes in pieces of `chunk` samples."""
    spotter = Spotter(model, mode="utterance")
    pieces = [clip[i : i + chunk] for i in range(0, len(clip), chunk)]
    events = [event for piece in pieces for event in spotter.push(piece)] + spotter.flush()
    (answer,) = (event for event in events if isinstance(event, Detection))
    return answer.label, answer.frame


def test_it_is_as_good_as_its_card_says(bundled: Model, clips: tuple[list[np.ndarray], list[str]]) -> None:
    samples, words = clips
    scored = score_clips(bundled, samples, words)
    metrics = measure(scored, decide(bundled, scored, bundled.metadata.speeds["balanced"]["utterance"]))
    assert metrics.accuracy > 0.92
    assert metrics.decision_time_s.mean < 0.72


@pytest.mark.parametrize("chunk", [1, 7, 160, 1600, 16_000])
def test_any_cut_gives_the_answers_of_whole_files(
    bundled: Model, clips: tuple[list[np.ndarray], list[str]], chunk: int
) -> None:
    samples = clips[0][:8] if chunk < 100 else clips[0]
    whole = classify(bundled, [(str(i), clip) for i, clip in enumerate(samples)])
    assert [streamed(bundled, clip, chunk) for clip in samples] == [
        (result.answer.label, result.answer.frame) for result in whole if result.answer
    ]


async def test_stream_upload_and_evaluation_agree_on_every_clip(bundled: Model) -> None:
    clips = find_clips(RECORDINGS, "validation")
    files = [clip.path for clip in clips[:: len(clips) // CLIPS]]
    with serving(MODEL.parent, default_model=MODEL.name) as running:
        streams = await played(running.ws(), files)
        async with httpx.AsyncClient(timeout=60) as http:
            upload = [("files", (file.name, file.read_bytes())) for file in files]
            results = (await http.post(f"{running.http}/v1/classify", files=upload)).json()["results"]
    scored = score_clips(bundled, [read_audio(file) for file in files], [""] * len(files))
    evaluated = decide(bundled, scored, bundled.metadata.speeds["balanced"]["utterance"])
    assert [(result["label"], result["frame"]) for result in results] == streams
    assert [(result["label"], result["decision_time_s"]) for result in results] == [
        (answer.label, answer.decision_time_s) for answer in evaluated
    ]


@pytest.mark.parametrize("offset", [0.02, -0.05])
def test_a_constant_offset_loses_no_accuracy(
    bundled: Model, clips: tuple[list[np.ndarray], list[str]], offset: float
) -> None:
    samples, words = clips
    shifted = [clip + np.float32(offset) for clip in samples]
    right = [
        sum(
            result.answer is not None and result.answer.label == word
            for result, word in zip(results, words, strict=True)
        )
        for results in (
            classify(bundled, [(str(i), clip) for i, clip in enumerate(audio)]) for audio in (samples, shifted)
        )
    ]
    assert abs(right[0] - right[1]) <= 0.01 * len(samples)
