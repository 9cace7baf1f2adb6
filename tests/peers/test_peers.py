"""The benchmark beside other keyword spotters, without them: what it reads, counts and writes."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.spotting.spotter import Spotter
from tests.peers import accuracy as spotting
from tests.peers import environment
from tests.peers import throughput as peers
from tests.peers.engines import MOST_LISTED, OpenWakeWord, PocketSphinx, RankCoding, Told
from tests.peers.worker import CHUNK, run
from tests.support.speech import pcm, say
from tests.support.tone_model import RATE
from training.data.corpus import Corpus, Utterance, WordSpan
from training.evaluation.stream_scores import Detected
from training.evaluation.streams import streams_of


@dataclass(frozen=True)
class Segment:
    word: str
    start_frame: int
    end_frame: int
    prob: float = 0.9

    @property
    def hypstr(self) -> str:
        return self.word


class Decoder:
    """Lists what `script` says after each piece."""

    def __init__(self, *script: list[Segment]) -> None:
        self.script = iter(script)
        self.starts = 0

    def start_utt(self) -> None:
        self.starts += 1

    def end_utt(self) -> None:
        self.listed: list[Segment] = []

    def process_raw(self, pcm: bytes, no_search: bool, full_utt: bool) -> None:
        self.listed = next(self.script)

    def hyp(self) -> Segment | None:
        return Segment(" ".join(one.word for one in self.listed), 0, 0) if self.listed else None

    def seg(self) -> Iterator[Segment]:
        return iter(self.listed)


class WakeWords:
    def __init__(self, *scores: float) -> None:
        self.scores = iter(scores)

    def predict(self, samples: np.ndarray) -> dict[str, float]:
        assert samples.dtype == np.int16
        return {"alexa": next(self.scores), "timer": 0.0}


def test_pocketsphinx_tells_a_word_once_where_it_was_first_found() -> None:
    yes, better, no = Segment("yes ", 1, 5), Segment("yes ", 2, 6), Segment("no ", 9, 20)
    engine = PocketSphinx(Decoder([], [yes], [yes], [], [better], [better, no]))
    told = [engine.push(bytes(CHUNK)) for _ in range(6)]
    assert told == [[], [Told("yes", 0.16, 0.9, 0.01, 0.05)], [], [], [], [Told("no", 0.48, 0.9, 0.09, 0.2)]]


def test_pocketsphinx_starts_again_with_a_full_list_and_times_go_on() -> None:
    full = [Segment("go ", 10 * i, 10 * i + 5) for i in range(MOST_LISTED)]
    decoder = Decoder(full, [Segment("go ", 1, 5)])
    engine = PocketSphinx(decoder)
    assert len(engine.push(bytes(1000 * CHUNK))) == MOST_LISTED
    assert decoder.starts == 2
    assert engine.push(bytes(CHUNK)) == [Told("go", 80.08, 0.9, 80.01, 80.05)]


def test_openwakeword_tells_each_crossing_once() -> None:
    result = run(OpenWakeWord(WakeWords(0.1, 0.6, 0.9, 0.2, 0.5), threshold=0.5), bytes(5 * CHUNK + 100))
    assert [(one["label"], one["told_s"], one["score"]) for one in result["told"]] == [
        ("alexa", 0.16, 0.6),
        ("alexa", 0.4, 0.5),
    ]


def test_our_engine_hears_what_the_spotter_hears_and_its_time_counts(models_dir: Path) -> None:
    audio = say("yes", "no")
    alone = Spotter(models_dir / "tones").push(audio)
    result = run(RankCoding(models_dir / "tones"), pcm(audio), warm_s=0.16)
    assert [(one["label"], one["told_s"]) for one in result["told"]] == [(e.label, e.audio_time_s) for e in alone]
    assert [event.label for event in alone] == ["yes", "no"]
    assert 0 < result["cpu_ms"] < 1000


def test_speech_is_a_folders_recordings_until_it_is_long_enough(tmp_path: Path) -> None:
    for name, value in (("b.wav", 0.5), ("a/c.FLAC", 0.25)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(RATE, value), RATE)
    audio = peers.speech(tmp_path, 2.5)
    assert np.allclose(audio, np.repeat([0.25, 0.5, 0.25], [RATE, RATE, RATE // 2]), atol=1e-4)
    with pytest.raises(SystemExit, match="expected recordings .* got none"):
        peers.speech(tmp_path / "none", 1.0)


def test_the_table_compares_medians() -> None:
    spent = {"server": [2.0, 9.0, 1.0], "pocketsphinx": [30.0, 28.0, 29.0]}
    server, sphinx = peers.rows(spent, 200, {"pocketsphinx": "PocketSphinx"})
    assert (server["streams_per_core"], server["server_carries"]) == (500, 1.0)
    assert (sphinx["streams_per_core"], sphinx["server_carries"], sphinx["rounds"]) == (34, 14.5, [30.0, 28.0, 29.0])


def test_the_command_writes_a_table_and_its_figures(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "MODEL", models_dir / "tones")
    monkeypatch.setattr(peers, "OURS", {})
    monkeypatch.setattr(peers, "WARM_S", 0.0)
    monkeypatch.setattr(peers, "hear", lambda python, engine, audio, *options: {"cpu_ms": 50.0})
    monkeypatch.setattr(peers, "peers_python", lambda folder: folder)
    soundfile.write(tmp_path / "tones.wav", say("yes", "no"), RATE)
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["--out", str(out), "--speech", str(tmp_path), "--seconds", "1.8", "--streams", "2", "--rounds", "1"]
    assert peers.main(arguments) == 0
    facts = json.loads((out / "data.json").read_text())
    assert [row["name"] for row in facts["rows"]] == ["this server", *peers.THEIRS.values()]
    assert facts["rows"][1]["server_carries"] == pytest.approx(50 / facts["rows"][0]["rounds"][0], abs=0.1)
    lines = (out / "README.md").read_text().splitlines()
    assert {line.count("|") for line in lines[: 2 + len(facts["rows"])]} == {len(peers.COLUMNS) + 1}
    assert facts["machine"]["processor"] in lines[-1]
    assert capsys.readouterr().out == (out / "README.md").read_text()


def test_what_pocketsphinx_tells_is_judged_by_the_words_of_the_streams() -> None:
    word = Utterance((8000 * np.sin(np.arange(RATE))).astype(np.int16), (WordSpan("yes", 0.3, 0.7, "keyword"),))
    speech = Utterance(word.samples, (WordSpan("", 0.0, 1.0, "speech"),))
    material = Corpus({"yes": [word]}, {}, [speech], np.ones(RATE, np.float32), np.zeros((0, 1), np.float32))
    hours = 0.01

    def told(audio: np.ndarray, threshold: str) -> list[Detected]:
        """All that is said, told as it ends; nothing at the highest threshold."""
        words = spotting.said(list(streams_of(material, hours, seed=0)["clean"]))
        return (
            []
            if threshold == spotting.THRESHOLDS[-1]
            else [Detected("yes", word.end_s) for word in words if word.kind == "keyword"]
        )

    rows = spotting.theirs(told, ["yes"], material, hours)
    assert [row["threshold"] for row in rows] == list(spotting.THRESHOLDS)
    assert {(row["misses clean"], row["misses 10 dB"]) for row in rows[:-1]} == {(0.0, 0.0)}
    assert all(row["false alarms an hour in speech"] > 100 for row in rows[:-1])
    assert tuple(rows[-1].values())[2:] == (1.0, 1.0, 0.0)


def test_the_page_thins_a_long_curve_and_the_file_keeps_it(tmp_path: Path) -> None:
    rows = [spotting.row("ours", str(i), {name: {"misses": i / 30} for name in ("clean", "10 dB")} | {
        "speech": {"false_alarms_per_hour": 30.0 - i}}) for i in range(31)]  # fmt: skip
    rows.append(rows[0] | {"": "theirs", "threshold": "1e5"})
    measured = {"command": "python -m spotting", "date": "2026-01-02", "machine": "a desk"}
    spotting.write({"rows": rows, "measured": measured}, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert [line.split(" | ")[1] for line in page.splitlines() if line.startswith("| ours")][:3] == ["0", "3", "6"]
    assert "| theirs | 1e5 | 0.0% | 0.0% | 30 |" in page
    assert "`python -m spotting`, 2026-01-02, a desk" in page
    assert json.loads((tmp_path / "data.json").read_text())["rows"] == rows
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")


def test_an_engine_that_fails_says_why() -> None:
    with pytest.raises(SystemExit, match="expected openwakeword-one to hear 10 samples, got:\n(.|\n)*openwakeword"):
        environment.hear(Path(sys.executable), "openwakeword-one", np.zeros(10, np.float32))
