"""The settings of a stream, from its client's query or first message."""

from dataclasses import dataclass

from service.server.streams.client import StreamClient
from service.server.streams.limits import ActivityLimits
from service.server.streams.messages import Control
from service.spotting.config import ConfigWarning, StreamConfig, parse_config


@dataclass(frozen=True)
class Handshake:
    """What a stream is made of; `message` is a first message that was no `configure`, to be acted on."""

    config: StreamConfig
    warnings: list[ConfigWarning]
    message: bytes | Control | None = None


async def shake_hands(client: StreamClient, activity: ActivityLimits) -> Handshake:
    """Read the settings. Raises ProtocolError and ClientGoneError."""
    if client.settings:
        return Handshake(*parse_config(client.settings))
    message = await client.receive()
    activity.mark_received()
    if isinstance(message, Control) and message.type == "configure":
        return Handshake(*parse_config(message.settings))
    return Handshake(*parse_config({}), message)
