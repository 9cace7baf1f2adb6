"""rc-serve: run the server. The flags are those of settings.py that an operator sets first; RC_* sets the rest."""

import argparse
import asyncio
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import Multiprocess
from websockets.frames import Frame
from websockets.http11 import Request

from service.app import create_app
from service.model import BadModel
from service.protocol import DRAINING
from service.settings import Settings
from service.stream import AUDIO, Take

HELD = 16  # messages taken from a client before the app has asked for them
ABORT_S = 10.0  # after a stream, for its client to take what was sent and to close too


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with an end to every stream, and a shorter way for audio.

    It would close a stream at once on shutdown: this tells the app, which says its summary and closes. It would wait
    for ever for a client that takes nothing: this lets it go. It would stop and start reading around every message:
    this does so when HELD of them wait. It would queue every message and wake a task for it: this calls what the app
    left in the scope's extension AUDIO, unless that returns False or other messages wait.
    """

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        self.audio: dict[str, Take] = {}
        if not self.close_sent:  # else it was no handshake
            self.scope["extensions"] = {**(self.scope.get("extensions") or {}), AUDIO: self.audio}  # type: ignore[dict-item]

    def handle_bytes(self, event: Frame) -> None:
        take = self.audio.get("take")
        if not (take and event.fin and self.queue.empty() and take(bytes(event.data))):
            super().handle_bytes(event)

    def send_receive_event_to_app(self) -> None:
        paused, self.read_paused = self.read_paused, True
        super().send_receive_event_to_app()
        self.read_paused = paused
        if not paused and self.queue.qsize() >= HELD:
            self.read_paused = True
            self.transport.pause_reading()

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": DRAINING})
        else:
            super().shutdown()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(ABORT_S, self.transport.abort)  # does nothing to one that is closed


def server_config(settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the app: one process, or `settings.workers` of them."""
    return uvicorn.Config(
        partial(create_app, settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        ws=StreamProtocol,
        ws_max_size=2 * settings.max_message_bytes,  # the app refuses what is a little too big with a reason
        ws_per_message_deflate=False,  # audio does not deflate
        timeout_graceful_shutdown=settings.drain_timeout_s,
        access_log=False,
    )


def parse(argv: list[str] | None) -> Settings:
    """The command line over the environment over the defaults."""
    parser = argparse.ArgumentParser(prog="rc-serve", description="Serve keyword spotting over WebSocket and HTTP.")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for any (default: 8000)")
    parser.add_argument("--models", dest="models_dir", type=Path, metavar="DIR", help="serve DIR/NAME/model.onnx")
    parser.add_argument("--model", dest="default_model", metavar="NAME", help="the model of clients that name none")
    parser.add_argument("--wyoming", metavar="tcp://HOST:PORT", help="serve Home Assistant too, there (default: not)")
    parser.add_argument("--workers", type=int, help="processes behind the port, one a core (default: 1)")
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    try:
        return Settings(**given)
    except ValueError as error:
        parser.error(str(error))


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; exit status 0, or 1 when the server cannot start."""
    settings = parse(argv)
    config = server_config(settings)
    if settings.wyoming and not find_spec("wyoming"):
        print("rc-serve: --wyoming expects the package wyoming, got none: pip install '.[wyoming]'", file=sys.stderr)
        return 1
    try:
        app = create_app(settings)
    except BadModel as error:
        print(f"rc-serve: {error}", file=sys.stderr)
        return 1
    if settings.workers > 1:  # each makes its own app; one that cannot would be started again for ever
        Multiprocess(config, [config.bind_socket()]).run()
        return 0
    config.app, config.factory = app, False
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
