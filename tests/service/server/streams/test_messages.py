"""The text of every message, byte for byte: clients of today must read those of tomorrow."""

import pytest

from service.server.streams.messages import (
    VERSION,
    Control,
    ErrorEvent,
    Ready,
    ReadyLimits,
    ServerEvent,
    TimedDetection,
    TimedSummary,
    close_code,
    describe_model,
    encode,
    parse_control,
)
from service.spotting.config import ProtocolError, parse_config
from service.spotting.events import Scores
from service.telemetry.latency import Latency, LatencyPercentiles
from tests.support.tone_model import METADATA

CONFIG, WARNINGS = parse_config({"sample_rate": 48000, "keywords": "yes", "treshold": 1})
MODEL = describe_model(METADATA, "ffff")
GOLDEN: list[tuple[ServerEvent, str]] = [
    (
        TimedDetection(7, "yes", 0.93, 0.9, True, 143, 1.555, latency=Latency(35.0, 2.0, 3.0, 6.123)),
        '{"type":"detection","id":7,"label":"yes","score":0.93,"threshold":0.9,"crossed":true,"frame":143,'
        '"audio_time_s":1.555,"latency":{"algorithmic_ms":35.0,"queue_ms":2.0,"compute_ms":3.0,"server_ms":6.123}}',
    ),
    (
        Scores(150, 1.625, {"yes": 0.02, "no": 0.5}),
        '{"type":"scores","frame":150,"audio_time_s":1.625,"scores":{"yes":0.02,"no":0.5}}',
    ),
    (
        TimedSummary(61.3, 6130, 4, latency=LatencyPercentiles(None, None, None)),
        '{"type":"summary","audio_s":61.3,"frames":6130,"detections":4,'
        '"latency":{"p50_ms":null,"p95_ms":null,"p99_ms":null}}',
    ),
    (
        TimedSummary(61.3, 6130, 4, latency=LatencyPercentiles(0.9, 2.1, 4.0)),
        '{"type":"summary","audio_s":61.3,"frames":6130,"detections":4,'
        '"latency":{"p50_ms":0.9,"p95_ms":2.1,"p99_ms":4.0}}',
    ),
    (
        ErrorEvent("overloaded", "expected é", fatal=True),
        '{"type":"error","code":"overloaded","message":"expected \\u00e9","fatal":true}',
    ),
    (
        Ready("ab12", VERSION, MODEL, CONFIG.resolved(METADATA), WARNINGS, ReadyLimits(65536, 2.0, 30.0), 40.0),
        '{"type":"ready","session_id":"ab12","protocol":1,"model":{"name":"tones","version":"1","sha256":"ffff",'
        '"labels":["yes","no","_unknown_","_silence_"],"frame_ms":10.0,"look_ahead_ms":30.0},'
        '"config":{"sample_rate":48000,"encoding":"pcm_s16le","channels":1,"mode":"continuous","keywords":["yes"],'
        '"speed":"balanced","threshold":{"yes":0.9,"no":0.9,"_unknown_":0.9,"_silence_":1.0},"refractory_s":0.2,'
        '"scores_every_ms":0},"warnings":[{"code":"unknown_key","key":"treshold"}],'
        '"limits":{"max_message_bytes":65536,"max_backlog_s":2.0,"idle_timeout_s":30.0},"chunk_ms":40.0}',
    ),
]


@pytest.mark.parametrize(("event", "text"), GOLDEN, ids=[event.type for event, _ in GOLDEN])
def test_the_text_of_an_event_never_changes(event: ServerEvent, text: str) -> None:
    assert encode(event) == text


def test_controls_are_objects_with_a_type() -> None:
    assert parse_control('{"type":"update","threshold":0.5}') == Control("update", {"threshold": 0.5})
    for text in ("[" * 100_000, "9" * 5000, '{"type":"flush","id":%s}' % ("9" * 5000), "[1]", '"close"'):
        with pytest.raises(ProtocolError, match="expected a JSON object") as refused:
            parse_control(text)
        assert (refused.value.code, close_code(refused.value)) == ("bad_message", 1003)
    for text in ("{}", '{"type":"sing"}', '{"type":["flush"]}'):
        with pytest.raises(ProtocolError, match="type: expected configure, update") as refused:
            parse_control(text)
        assert (refused.value.code, close_code(refused.value)) == ("bad_message", 1008)


@pytest.mark.parametrize(
    ("code", "close"),
    [("bad_audio", 1003), ("overloaded", 1013), ("server_fault", 1011), ("too_big", 1009)]
    + [(code, 1008) for code in ("bad_value", "unknown_model", "idle_timeout", "time_limit", "slow_reader")],
)
def test_every_error_has_its_close_code(code: str, close: int) -> None:
    assert close_code(ProtocolError(code, "expected this, got that")) == close
