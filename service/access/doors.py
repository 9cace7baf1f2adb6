"""Who may come in: keys, origins, a rate; and what every answer says to a browser. In front of all routes.

A key in the query is taken out of it here, so that nothing behind, logs neither, ever sees it.
"""

from collections.abc import Iterator, Mapping
from time import monotonic
from urllib.parse import unquote_plus, urlsplit

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.access.api_keys import ApiKeys
from service.access.rate_limit import TokenBuckets
from service.settings import Settings
from service.telemetry.metrics import Metrics

OPEN = ("/healthz", "/readyz")  # without a key, as often as one likes
PARTS = "/web/"  # of the page, without a key too: a module cannot say one; the page itself is /?token=KEY
SUBPROTOCOL = "bearer."
ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"}
MICROPHONE = "microphone=(self), camera=(), geolocation=()"
OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
SWAGGER = "https://cdn.jsdelivr.net"  # where FastAPI's /docs gets its scripts
DOCS = f"default-src 'self'; script-src 'unsafe-inline' {SWAGGER}; style-src {SWAGGER}; img-src * data:"


class AccessDenied(Exception):
    """Not let in: an HTTP status, a code for programs, a message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Doors:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: ApiKeys, metrics: Metrics) -> None:
        self._app, self._keys, self._metrics = app, keys, metrics
        self._origins = {origin.strip() for origin in settings.allowed_origins.split(",")}
        self._rate = TokenBuckets(settings.max_requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        offered = list(_offered(scope))
        _hide_token(scope)
        send = self._dressed(scope, send)
        try:
            self._let_in(scope, offered)
        except AccessDenied as refused:
            self._metrics.rejected.labels(refused.code).inc()
            return await _refuse(refused, scope, receive, send)
        return await self._app(scope, receive, send)

    def _let_in(self, scope: Scope, offered: list[str]) -> None:
        """Raises Refused."""
        if scope["path"] in OPEN:
            return
        headers = Headers(scope=scope)
        if (origin := headers.get("origin")) and not self._is_home(origin, headers.get("host", "")):
            raise AccessDenied(403, "forbidden_origin", "expected an origin of this server or one of allowed_origins")
        key = self._keys.admit(offered)
        client = key or (scope.get("client") or ("",))[0]
        if scope["type"] == "http" and not self._rate.allow(client, monotonic()):
            raise AccessDenied(429, "too_many_requests", "expected fewer requests a second")
        if self._keys and key is None and not scope["path"].startswith(PARTS):
            raise AccessDenied(401, "unauthorized", f"expected an API key, got {'another' if offered else 'none'}")

    def _is_home(self, origin: str, host: str) -> bool:
        return urlsplit(origin).netloc == host or not self._origins.isdisjoint({origin, "*"})

    def _dressed(self, scope: Scope, send: Send) -> Send:
        """`send` with the headers of every answer, and the sub-protocol that a browser waits for."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = DOCS if scope["path"] == "/docs" else OURS
                MutableHeaders(scope=message).update(
                    {**ALWAYS, "Permissions-Policy": MICROPHONE, "Content-Security-Policy": policy}
                )
            if message["type"] == "websocket.accept" and (asked := scope.get("subprotocols")):
                others = [name for name in asked if not name.startswith(SUBPROTOCOL)]
                message["subprotocol"] = (others or asked)[0]
            await send(message)

        return dressed


def error_answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def _refuse(refused: AccessDenied, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(refused.status)
    if scope["type"] == "websocket":
        answer = PlainTextResponse(f"{refused.code}: {refused}", refused.status, headers)
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await error_answer(refused.status, refused.code, str(refused), headers)(scope, receive, send)


def _offered(scope: Scope) -> Iterator[str]:
    """Every key in the request: header, sub-protocol, query."""
    scheme, _, value = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield value.strip()
    for name in scope.get("subprotocols", ()):
        if name.startswith(SUBPROTOCOL):
            yield name.removeprefix(SUBPROTOCOL)
    for name, value in map(_pair, scope["query_string"].split(b"&")):
        if name == "token":
            yield value


def _hide_token(scope: Scope) -> None:
    kept = [part for part in scope["query_string"].split(b"&") if _pair(part)[0] != "token"]
    scope["query_string"] = b"&".join(kept)


def _pair(part: bytes) -> tuple[str, str]:
    name, _, value = part.decode("latin-1").partition("=")
    return unquote_plus(name), unquote_plus(value)
