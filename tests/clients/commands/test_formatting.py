"""clients/commands/formatting.py: the line of each type of event."""

import io
from typing import Any

import pytest

from clients.commands.formatting import event_line, write_line
from tests.support.fake_server import LATENCY

SUMMARY = {"type": "summary", "audio_s": 2.0, "detections": 1, "latency": {"p50_ms": 0.94, "p95_ms": None}}
YES = {"label": "yes", "score": 0.97, "audio_time_s": 1.4, "latency": LATENCY}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (SUMMARY, "2.00 s of audio, 1 detections, server p50 0.9 ms"),
        ({**SUMMARY, "latency": {}, "dropped_s": 0.0, "reconnects": 0}, "2.00 s of audio, 1 detections"),
        (
            {**SUMMARY, "latency": {}, "dropped_s": 1.2, "reconnects": 3, "lost_s": 0.25},
            "2.00 s of audio, 1 detections, 1.20 s dropped, 3 reconnects, 0.25 s not decided on",
        ),
        ({"type": "dropped", "audio_s": 1.2, "by_device": False}, "dropped  1.20 s of audio"),
        ({"type": "dropped", "audio_s": 0.0, "by_device": True}, "dropped  some audio, by the device"),
        ({**YES, "type": "detection"}, "  1.40 s  yes        0.97  (server 1.1 ms, model wait 52 ms)"),
        (
            {**YES, "type": "detection", "status": "early"},
            "  1.40 s  yes        0.97  early      (server 1.1 ms, model wait 52 ms)",
        ),
        ({**YES, "type": "confirmed"}, "  1.40 s  yes        0.97  confirmed  (server 1.1 ms, model wait 52 ms)"),
        (
            {**YES, "type": "retracted", "reason": "fell"},
            "  1.40 s  yes        0.97  retracted: fell  (server 1.1 ms, model wait 52 ms)",
        ),
        (
            {"type": "reconnected", "undecided_s": 0.34, "resent_s": 1.34, "lost_s": 0.0},
            "reconnected  0.34 s of audio were not decided on, 1.34 s sent again, 0.00 s lost",
        ),
        ({"type": "error", "code": "x", "message": "expected a, got b"}, "error  x: expected a, got b"),
    ],
)
def test_each_event_has_its_line(event: dict[str, Any], line: str) -> None:
    assert event_line(event) == line


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    out = io.StringIO()
    write_line("a\nb\x1b[2J", out)
    assert out.getvalue() == "a\\nb\\x1b[2J\n"
