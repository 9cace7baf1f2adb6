"""Settings from the query or the first message, and how a stream ends that never began."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from websockets.frames import CloseCode

from service.server.streams.client import ClientGoneError
from service.server.streams.endings import Ending, ending_of
from service.server.streams.handshake import Handshake, shake_hands
from service.server.streams.limits import ActivityLimits, StreamTimeOverError
from service.server.streams.messages import Control, ServerEvent, parse_control
from service.spotting.audio import AudioError
from service.spotting.config import ConfigWarning, ProtocolError, StreamConfig


class FakeClient:
    """Has settings and messages."""

    tap = None
    host = None

    def __init__(self, settings: Mapping[str, Any], *messages: bytes | Control) -> None:
        self.settings, self._messages = settings, list(messages)

    async def receive(self) -> bytes | Control:
        return self._messages.pop(0)

    async def send(self, event: ServerEvent) -> None: ...

    async def close(self, code: CloseCode, reason: str) -> None: ...


def control(kind: str, **settings: object) -> Control:
    return parse_control(json.dumps({"type": kind, **settings}))


CASES = [
    ({"mode": "utterance"}, [b"\0\0"], Handshake(StreamConfig(mode="utterance"), [])),
    ({}, [control("configure", mode="utterance")], Handshake(StreamConfig(mode="utterance"), [])),
    ({}, [control("configure", colour="red")], Handshake(StreamConfig(), [ConfigWarning("unknown_key", "colour")])),
    ({}, [b"\0\0"], Handshake(StreamConfig(), [], b"\0\0")),
    ({}, [b""], Handshake(StreamConfig(), [], b"")),
    ({}, [control("flush")], Handshake(StreamConfig(), [], control("flush"))),
]


@pytest.mark.parametrize(("settings", "messages", "expected"), CASES)
async def test_settings_come_from_the_query_or_the_first_message(
    settings: Mapping[str, Any], messages: list[bytes | Control], expected: Handshake
) -> None:
    assert await shake_hands(FakeClient(settings, *messages), ActivityLimits(30)) == expected


async def test_wrong_settings_are_an_error() -> None:
    for client in (FakeClient({"channels": "8"}), FakeClient({}, control("configure", channels=8))):
        with pytest.raises(ProtocolError, match="channels: expected 1 or 2"):
            await shake_hands(client, ActivityLimits(30))


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (None, 1000, None),
        (ClientGoneError(1001), None, None),
        (ClientGoneError(CloseCode.SERVICE_RESTART), 1012, None),
        (StreamTimeOverError(), 1012, None),
        (AudioError("expected audio"), 1003, "bad_audio"),
        (ProtocolError("bad_value", "expected another"), 1008, "bad_value"),
        (RuntimeError("secret"), 1011, "server_fault"),
    ],
)
def test_every_error_is_an_ending(error: Exception | None, code: int | None, name: str | None) -> None:
    ending: Ending = ending_of(error, "1f")
    assert (ending.code, ending.error and ending.error.code) == (code, name)
    assert "secret" not in str(ending.error)
