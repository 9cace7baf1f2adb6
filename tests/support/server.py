"""A real server in a thread, on a port of its own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI

from service.commands.serve import server_config
from service.server.app import create_app
from service.server.websocket.draining_server import DrainingServer
from service.settings import Settings


@dataclass(frozen=True)
class Running:
    """A real server on a port of its own."""

    server: uvicorn.Server
    app: FastAPI
    address: str

    @property
    def http(self) -> str:
        return f"http://{self.address}"

    def ws(self, **settings: object) -> str:
        query = urlencode(
            {key: json.dumps(value) if isinstance(value, dict) else value for key, value in settings.items()}
        )
        return f"ws://{self.address}/v1/stream" + (f"?{query}" if query else "")

    @property
    def ws_shared(self) -> str:
        return f"ws://{self.address}/v1/streams"


@contextmanager
def serving(models_dir: Path, default_model: str = "tones", **settings: Any) -> Iterator[Running]:
    """Run a server in a thread until the block ends."""
    chosen = Settings(models_dir=models_dir, default_model=default_model, **{"port": 0, **settings})
    app = create_app(chosen)
    config = server_config(chosen)
    config.app, config.factory = app, False
    server = DrainingServer(config, app.state.server.drain)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(server, app, f"127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join()
