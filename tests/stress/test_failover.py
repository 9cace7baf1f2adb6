"""The failover script itself, small, and its figures."""

from pathlib import Path

import pytest
import soundfile

from clients.bench.markdown import marks
from tests.stress import failover
from tests.stress.failover_report import KILLED, STOPPED, UNTOUCHED, StreamRecord, compare, faults, make_report
from tests.support import haproxy
from tests.support.speech import synthesize
from tests.support.tone_model import RATE

WORDS = [("yes", 1.0), ("no", 2.0), ("yes", 3.0)]


@pytest.mark.skipif(haproxy.PROGRAM is None, reason="expected haproxy")
def test_no_word_is_lost_while_servers_come_and_go(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many streams each server has by then depends on the machine; no word may."""
    soundfile.write(tmp_path / "tones.wav", synthesize("yes", "no", "_unknown_", "no"), RATE)
    page = tmp_path / "page.md"
    page.write_text("\n".join(marks(failover.SECTION)))
    models = ["--models", str(models_dir), "--model", "tones", "--recording", str(tmp_path / "tones.wav")]
    failover.main(["--streams", "6", "--seconds", "12", *models, "--into", str(page)])
    assert "expected no missing" not in capsys.readouterr().out
    groups = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith(("| none", "| SIG"))]
    assert sum(int(streams) for _, streams, *_ in groups) == 6
    assert {(*counts, lost_s) for _, _, _, *counts, _, _, lost_s, _, _ in groups} == {("0", "0", "0", "0.0")}
    assert "1012" in page.read_text()


def record(*words: tuple[str, float], broken: str = "", decided_s: float = 0.0, **facts: float) -> StreamRecord:
    one = StreamRecord(list(words), sessions=["a"])
    if broken:
        times = {"audio_time_s": decided_s, "undecided_s": 0.5, "lost_s": 0.0, "away_s": 0.4, "words": 0, **facts}
        one.breaks.append({"type": "reconnected", "session": broken, **times})
    return one


def test_words_match_once_by_label_and_time() -> None:
    assert compare(WORDS, [("yes", 1.1), ("no", 1.9), ("yes", 3.0)]) == (0, 0)
    assert compare(WORDS, [("yes", 1.1), ("yes", 1.05), ("no", 2.3)]) == (2, 2)
    assert compare(WORDS, []) == (3, 0)


def test_figures_are_those_of_the_server_of_a_stream() -> None:
    records = [
        record(*WORDS, broken="kept"),
        record(*WORDS, broken="stopped", decided_s=2.5, words=2),
        record(*WORDS[1:], broken="killed", decided_s=2.5, words=1, lost_s=1.5),
    ]
    sessions = [{"stopped"}, {"killed"}, {"kept"}, set[str]()]
    streams_open = {"before": [1, 1, 1, 0], "after": [0, 0, 2, 1]}
    report = make_report("x", "y", records, WORDS, sessions, streams_open, {"before": 1.0, "after": 2.0})
    groups = {group.server_got: group for group in report.groups}
    assert {name: (group.streams, group.missing, group.extra) for name, group in groups.items()} == {
        UNTOUCHED: (1, 0, 0),
        STOPPED: (1, 0, 0),
        KILLED: (1, 1, 0),
    }
    assert (groups[STOPPED].owed_missing, groups[KILLED].owed_missing) == (0, 1)
    assert (groups[STOPPED].undecided_s_max, groups[UNTOUCHED].undecided_s_max) == (0.5, None)
    (fault,) = faults(report)
    assert "got SIGKILL" in fault
    assert "'lost_s': 1.5" in fault


def test_the_proxy_runs_the_committed_configuration_with_other_servers() -> None:
    text = haproxy.configuration(9000, [9001, 9002, 9003])
    assert "bind 127.0.0.1:9000" in text
    assert [line.split()[2] for line in text.splitlines() if line.startswith("    server ")] == [
        "127.0.0.1:9001",
        "127.0.0.1:9002",
        "127.0.0.1:9003",
    ]
    assert "option httpchk GET /readyz" in text
