"""The comparison with other keyword spotters, without them: what it reads, counts and writes."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from tests.peers import environment, throughput
from tests.peers.accuracy import THRESHOLDS, SpottingResult, page, peer_rows, row, words_of, write
from tests.peers.engines import MAX_LISTED, EngineDetection, OpenWakeWord, PocketSphinx, RankCoding
from tests.peers.worker import CHUNK, run
from tests.support.paths import ROOT
from tests.support.speech import pcm, synthesize
from tests.support.tone_model import RATE
from training.data.corpus import Corpus, Utterance, WordSpan
from training.evaluation.stream_report import ErrorRates
from training.evaluation.stream_scores import DetectedWord
from training.evaluation.streams import streams_of
from training.reports.provenance import Provenance


@dataclass(frozen=True)
class Segment:
    word: str
    start_frame: int
    end_frame: int
    prob: float = 0.9

    @property
    def hypstr(self) -> str:
        return self.word


class ScriptedDecoder:
    """Lists the segments of `script`, one list per chunk."""

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
        return Segment(" ".join(segment.word for segment in self.listed), 0, 0) if self.listed else None

    def seg(self) -> Iterator[Segment]:
        return iter(self.listed)


class WakeWords:
    def __init__(self, *scores: float) -> None:
        self.scores = iter(scores)

    def predict(self, samples: np.ndarray) -> dict[str, float]:
        assert samples.dtype == np.int16
        return {"alexa": next(self.scores), "timer": 0.0}


def test_pocketsphinx_reports_a_word_once_at_its_first_place() -> None:
    yes, better, no = Segment("yes ", 1, 5), Segment("yes ", 2, 6), Segment("no ", 9, 20)
    engine = PocketSphinx(ScriptedDecoder([], [yes], [yes], [], [better], [better, no]))
    detections = [engine.push(bytes(CHUNK)) for _ in range(6)]
    assert detections == [
        [],
        [EngineDetection("yes", 0.16, 0.9, 0.01, 0.05)],
        [],
        [],
        [],
        [EngineDetection("no", 0.48, 0.9, 0.09, 0.2)],
    ]


def test_pocketsphinx_restarts_with_a_full_list_and_times_continue() -> None:
    full = [Segment("go ", 10 * i, 10 * i + 5) for i in range(MAX_LISTED)]
    decoder = ScriptedDecoder(full, [Segment("go ", 1, 5)])
    engine = PocketSphinx(decoder)
    assert len(engine.push(bytes(1000 * CHUNK))) == MAX_LISTED
    assert decoder.starts == 2
    assert engine.push(bytes(CHUNK)) == [EngineDetection("go", 80.08, 0.9, 80.01, 80.05)]


def test_openwakeword_reports_each_crossing_once() -> None:
    result = run(OpenWakeWord(WakeWords(0.1, 0.6, 0.9, 0.2, 0.5), threshold=0.5), bytes(5 * CHUNK + 100))
    assert [(word["label"], word["reported_s"], word["score"]) for word in result["detections"]] == [
        ("alexa", 0.16, 0.6),
        ("alexa", 0.4, 0.5),
    ]


def test_our_engine_detects_what_the_spotter_detects_and_its_time_counts(models_dir: Path) -> None:
    audio = synthesize("yes", "no")
    alone = [event for event in Spotter(models_dir / "tones").push(audio) if isinstance(event, Detection)]
    result = run(RankCoding(models_dir / "tones"), pcm(audio), warm_s=0.16)
    assert [(word["label"], word["reported_s"]) for word in result["detections"]] == [
        (e.label, e.audio_time_s) for e in alone
    ]
    assert [event.label for event in alone] == ["yes", "no"]
    assert 0 < result["cpu_ms"] < 1000


def test_speech_is_a_folders_recordings_until_it_is_long_enough(tmp_path: Path) -> None:
    for name, value in (("b.wav", 0.5), ("a/c.FLAC", 0.25)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(RATE, value), RATE)
    audio = throughput.speech(tmp_path, 2.5)
    assert np.allclose(audio, np.repeat([0.25, 0.5, 0.25], [RATE, RATE, RATE // 2]), atol=1e-4)
    with pytest.raises(SystemExit, match=r"expected recordings .* got none"):
        throughput.speech(tmp_path / "none", 1.0)


def test_the_table_compares_medians() -> None:
    spent = {"server": [2.0, 9.0, 1.0], "pocketsphinx": [30.0, 28.0, 29.0]}
    server, sphinx = throughput.rows(spent, 200, {"pocketsphinx": "PocketSphinx"})
    assert (server["streams_per_core"], server["server_carries"]) == (500, 1.0)
    assert (sphinx["streams_per_core"], sphinx["server_carries"], sphinx["rounds"]) == (34, 14.5, [30.0, 28.0, 29.0])


def test_the_command_writes_a_table_and_its_figures(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(throughput, "MODEL", models_dir / "tones")
    monkeypatch.setattr(throughput, "OUR_ENGINES", {})
    monkeypatch.setattr(throughput, "WARM_S", 0.0)
    monkeypatch.setattr(throughput, "run_engine", lambda python, engine, audio, *options: {"cpu_ms": 50.0})
    monkeypatch.setattr(throughput, "peers_python", lambda folder: folder)
    soundfile.write(tmp_path / "tones.wav", synthesize("yes", "no"), RATE)
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--speech", str(tmp_path), "--seconds", "1.8", "--streams", "2", "--rounds", "1"]
    assert throughput.main(arguments) == 0
    result = json.loads((out / "data.json").read_text())
    assert [row["name"] for row in result["rows"]] == ["this server", *throughput.PEER_ENGINES.values()]
    assert result["rows"][1]["server_carries"] == pytest.approx(50 / result["rows"][0]["rounds"][0], abs=0.1)
    lines = (out / "README.md").read_text().splitlines()
    assert {line.count("|") for line in lines[: 2 + len(result["rows"])]} == {len(throughput.COLUMNS) + 1}
    assert result["machine"]["processor"] in lines[-1]
    assert capsys.readouterr().out == (out / "README.md").read_text()


def test_detections_of_pocketsphinx_are_matched_to_the_words_of_the_streams() -> None:
    word = Utterance((8000 * np.sin(np.arange(RATE))).astype(np.int16), (WordSpan("yes", 0.3, 0.7, "keyword"),))
    speech = Utterance(word.samples, (WordSpan("", 0.0, 1.0, "speech"),))
    corpus = Corpus({"yes": [word]}, {}, [speech], np.ones(RATE, np.float32), np.zeros((0, 1), np.float32))
    hours = 0.01

    def detect(audio: np.ndarray, threshold: str) -> list[DetectedWord]:
        """Every keyword at its end; nothing at the highest threshold."""
        words = words_of(list(streams_of(corpus, hours, seed=0)["clean"]))
        return (
            []
            if threshold == THRESHOLDS[-1]
            else [DetectedWord("yes", word.end_s) for word in words if word.kind == "keyword"]
        )

    rows = peer_rows(detect, ["yes"], corpus, hours)
    assert [r.threshold for r in rows] == list(THRESHOLDS)
    assert {(r.misses_clean, r.misses_10_db) for r in rows[:-1]} == {(0.0, 0.0)}
    assert all(r.false_alarms_per_hour > 100 for r in rows[:-1])
    assert (rows[-1].misses_clean, rows[-1].misses_10_db, rows[-1].false_alarms_per_hour) == (1.0, 1.0, 0.0)


def test_the_page_thins_a_long_curve_and_the_file_keeps_it(tmp_path: Path) -> None:
    rows = [
        row("ours", str(i), dict.fromkeys(("clean", "10 dB", "speech"), ErrorRates(i / 30, 30.0 - i)))
        for i in range(31)
    ]
    rows.append(replace(rows[0], engine="theirs", threshold="1e5"))
    result = SpottingResult(rows, Provenance("2026-01-02", "python -m spotting", "a desk", 0))
    write(result, tmp_path)
    written = (tmp_path / "README.md").read_text()
    assert [line.split(" | ")[1] for line in written.splitlines() if line.startswith("| ours")][:3] == ["0", "3", "6"]
    assert "| theirs | 1e5 | 0.0% | 0.0% | 30 |" in written
    assert "`python -m spotting`, 2026-01-02, a desk" in written
    assert SpottingResult.read(tmp_path / "data.json") == result
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")


def test_an_engine_that_fails_reports_why() -> None:
    with pytest.raises(SystemExit, match=r"expected openwakeword-one to run on 10 samples, got:\n(.|\n)*openwakeword"):
        environment.run_engine(Path(sys.executable), "openwakeword-one", np.zeros(10, np.float32))


def test_committed_pages_are_what_their_data_give() -> None:
    for name, render in (
        ("spotting", lambda text: page(SpottingResult.from_json(text))),
        ("peers", throughput.report),
    ):
        folder = ROOT / "docs" / "results" / name
        assert render(json.loads((folder / "data.json").read_text())) == (folder / "README.md").read_text()
