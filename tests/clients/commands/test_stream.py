"""rc-stream (clients/commands/stream.py) by its command line, against the real service."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from clients.commands.stream import main, show_line
from tests.support.fake_server import detection
from tests.support.server import Running
from tests.support.speech import say
from tests.support.tone_model import RATE


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Words at several rates, of one and two channels, in every format, and one clip that crosses nothing."""
    folder = tmp_path_factory.mktemp("clips")
    kinds = [(16000, 1, "wav"), (16000, 1, "flac"), (44100, 2, "wav"), (8000, 1, "wav"), (48000, 2, "ogg")]
    paths = []
    for i, (rate, channels, suffix) in enumerate([*kinds, *kinds]):
        samples = np.stack([say(("yes", "no")[i % 2], rate=rate, seed=seed) for seed in range(channels)], axis=1)
        paths.append(folder / f"{i}.{suffix}")
        soundfile.write(paths[-1], samples, rate)
    soundfile.write(folder / "quiet.wav", np.zeros(RATE // 2), RATE)
    return [*paths, folder / "quiet.wav"]


def run(server: Running, *arguments: str) -> int:
    return main(["--url", server.ws(), "--fast", *arguments])


@pytest.mark.parametrize("chunk_ms", ["5", "40", "3000"])
@pytest.mark.parametrize("speed", ["balanced", "accurate"])
def test_utterances_are_answered_as_by_classify(
    server: Running, clips: list[Path], speed: str, chunk_ms: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(clip) for clip in clips]
    assert run(server, "--mode", "utterance", "--speed", speed, "--chunk-ms", chunk_ms, "--json", *names) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = [event for event in events if event["type"] == "detection"]
    files = [("files", (name, Path(name).read_bytes())) for name in names]
    results = httpx.post(f"{server.http}/v1/classify", params={"speed": speed}, files=files).json()["results"]
    assert [event["file"] for event in answers] == names
    assert [event["type"] for event in events] == ["detection", "summary"] * len(clips)
    for answer, result in zip(answers, results, strict=True):
        assert answer["score"] == pytest.approx(result["score"], abs=1e-5)
        assert (answer["label"], answer["frame"], answer["crossed"], answer["audio_time_s"]) == (
            result["label"],
            result["frame"],
            result["crossed"],
            result["decision_time_s"],
        )
    assert {answer["label"] for answer in answers[:-1]} == {"yes", "no"}
    assert not answers[-1]["crossed"]


def test_one_line_an_event(server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "said.wav", say("yes", "no"), RATE)
    assert run(server, str(tmp_path / "said.wav")) == 0
    first, second, summary = capsys.readouterr().out.splitlines()
    assert "yes " in first
    assert "no " in second
    assert first.startswith("said.wav    0.")
    assert "model wait 35 ms)" in first
    assert summary.startswith("said.wav  1.60 s of audio, 2 detections, server p50 ")


def test_a_bad_file_is_named_and_the_others_go_on(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = tmp_path / "bad.wav", tmp_path / "good.wav"
    bad.write_text("not audio")
    soundfile.write(good, say("no"), RATE)
    assert run(server, str(tmp_path / "none.wav"), str(bad), str(good)) == 1
    said = capsys.readouterr()
    assert "good.wav" in said.out
    assert said.err.splitlines()[0] == "none.wav  error  bad_audio: expected a file, got: No such file or directory"
    assert said.err.splitlines()[1].startswith("bad.wav  error  bad_audio: expected WAV, AIFF, FLAC, OGG or MP3, got: ")
    assert run(server, "--json", str(bad)) == 1
    assert json.loads(capsys.readouterr().out).items() >= {"file": str(bad), "code": "bad_audio", "fatal": True}.items()


def test_no_server_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, say("no"), RATE)
    assert main(["--url", "ws://127.0.0.1:9/v1/stream", str(path), str(path)]) == 1
    assert capsys.readouterr().err.count("a.wav  error  unreachable: expected a server at ws://127.0.0.1:9") == 1


def test_a_setting_the_model_lacks_fails_every_file(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, say("no"), RATE)
    assert main(["--url", server.ws(model="none"), "--fast", str(path), str(path)]) == 1
    assert capsys.readouterr().err.count("a.wav  error  unknown_model: model: expected among other, tones, ") == 2


@pytest.mark.parametrize("arguments", [[], ["--chunk-ms", "0", "a.wav"], ["--realtime", "--fast", "a.wav"]])
def test_wrong_use_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "rc-stream: error: " in capsys.readouterr().err


def test_a_label_that_crossed_nothing_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    show_line(Path("a/b.wav"), {**detection("go", 0.52, crossed=False), "lag_ms": 61.2})
    wanted = "b.wav    0.52 s  go?        0.97  (spoken 61 ms ago, server 1.1 ms, model wait 52 ms)\n"
    assert capsys.readouterr().out == wanted
