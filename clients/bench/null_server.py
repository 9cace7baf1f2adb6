"""The transport alone: the server's own WebSocket protocol with an app that takes audio and does nothing with it.

The CPU time that rc-bench measures here is the part that no engine could save.
"""

import json
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Response, WebSocket
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from service.server.websocket.uvicorn_protocols import StreamProtocol

READY: dict[str, Any] = {"type": "ready", "config": {"encoding": "pcm_s16le"}, "limits": {"max_message_bytes": 65536}}
ENDED: dict[str, Any] = {"type": "ended", "code": 1000, "reason": "", "retry_after_s": None}
NO_RUNS = b"kws_batch_streams_sum 0\nkws_batch_streams_count 0\n"

app = FastAPI()
registry = CollectorRegistry()
ProcessCollector(registry=registry)


@app.get("/readyz")
def ready() -> dict[str, bool]:
    """Ready at once."""
    return {"ready": True}


@app.get("/metrics")
def metrics() -> Response:
    """CPU time and memory of this process, and a model that never runs."""
    return Response(generate_latest(registry) + NO_RUNS)


@app.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Take audio until the client closes."""
    await socket.accept()
    await socket.send_text(json.dumps(READY))
    while (message := await socket.receive())["type"] == "websocket.receive":
        if "close" in (message.get("text") or ""):
            await socket.close()


@app.websocket("/v1/streams")
async def streams(socket: WebSocket) -> None:
    """Take audio of many streams until the client is gone."""
    await socket.accept()
    while (message := await socket.receive())["type"] == "websocket.receive":
        if text := message.get("text"):
            request = json.loads(text)
            answer = {"configure": READY, "close": ENDED}.get(request["type"], {})
            await socket.send_text(json.dumps({**answer, "stream": request["stream"]}))


def main(port: int) -> None:
    """Serve on this port."""
    options: dict[str, Any] = {"ws_per_message_deflate": False, "access_log": False, "log_level": "warning"}
    uvicorn.run(app, port=port, ws=StreamProtocol, **options)


if __name__ == "__main__":
    main(int(sys.argv[1]))
