"""How a request is denied: one check in front of the app, with one form of answer for HTTP and WebSocket."""

from collections.abc import Awaitable, Mapping

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.telemetry.metrics import Metrics


class AccessDenied(Exception):
    """A request is refused: an HTTP status, a code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class AccessCheck:
    """ASGI middleware that answers with the AccessDenied of `authorize`, counted, or passes the request on.

    Like all middlewares here it returns what is behind it instead of awaiting that: a stream lasts, and would keep a
    coroutine for each.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        try:
            if scope["type"] in ("http", "websocket"):
                self.authorize(scope)
        except AccessDenied as denied:
            self._metrics.rejected.labels(denied.code).inc()
            return deny(denied, scope, receive, send)
        return self._app(scope, receive, send)

    def authorize(self, scope: Scope) -> None:
        """Raises AccessDenied."""
        raise NotImplementedError


async def deny(denied: AccessDenied, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a WebSocket handshake, with the reason."""
    if scope["type"] == "websocket":
        answer = PlainTextResponse(f"{denied.code}: {denied}", denied.status, denied.headers)
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await error_response(denied.status, denied.code, str(denied), denied.headers)(scope, receive, send)


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The JSON of an error: `{"error": {"code": ..., "message": ...}}`."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)
