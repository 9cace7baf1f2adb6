"""API keys in requests: header, sub-protocol or query.

`AuthenticationMiddleware` comes first: it looks for a valid key and takes keys out of the query, so that nothing
behind it, logs neither, sees them. `AuthorizationMiddleware` refuses requests without a valid key.
"""

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.api_keys import ApiKeys
from service.access.denial import AccessCheck, AccessDenied
from service.access.paths import PAGE_ASSETS, PUBLIC_PATHS, route_path
from service.telemetry.metrics import Metrics

IDENTITY = "rc.identity"  # key of the ASGI scope
SUBPROTOCOL = "bearer."


@dataclass(frozen=True)
class Identity:
    """Who sent a request: the valid API key in it, and whether it had any key at all."""

    key: str | None = field(repr=False)
    offered: bool


class AuthenticationMiddleware:
    """Adds the Identity to the scope, and answers a WebSocket with one of the sub-protocols that it asks for."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self._app, self._keys = app, keys

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket"):
            offered = list(_offered_keys(scope))
            scope[IDENTITY] = Identity(self._keys.find(offered), bool(offered))
            scope["query_string"] = _without_token(scope["query_string"])
        if scope.get("subprotocols"):
            send = _with_subprotocol(scope["subprotocols"], send)
        return self._app(scope, receive, send)


class AuthorizationMiddleware(AccessCheck):
    """Where keys are configured, all but public paths and page assets need one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, keys: ApiKeys) -> None:
        super().__init__(app, metrics)
        self._keys = keys

    def authorize(self, scope: Scope) -> None:
        path, identity = route_path(scope), scope[IDENTITY]
        if not self._keys or identity.key or path in PUBLIC_PATHS or path.startswith(PAGE_ASSETS):
            return
        got = "another" if identity.offered else "none"
        raise AccessDenied(401, "unauthorized", f"expected an API key, got {got}", {"WWW-Authenticate": "Bearer"})


def _with_subprotocol(asked: list[str], send: Send) -> Send:
    """`send` that accepts the first sub-protocol that is not a key, else the first: a browser needs one accepted."""

    async def send_accepting(message: Message) -> None:
        if message["type"] == "websocket.accept":
            others = [name for name in asked if not name.startswith(SUBPROTOCOL)]
            message["subprotocol"] = (others or asked)[0]
        await send(message)

    return send_accepting


def _offered_keys(scope: Scope) -> Iterator[str]:
    """Every key in the request: header, sub-protocol, query."""
    scheme, _, value = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield value.strip()
    for name in scope.get("subprotocols", ()):
        if name.startswith(SUBPROTOCOL):
            yield name.removeprefix(SUBPROTOCOL)
    for name, value in map(_decode_pair, scope["query_string"].split(b"&")):
        if name == "token":
            yield value


def _without_token(query: bytes) -> bytes:
    return b"&".join(part for part in query.split(b"&") if _decode_pair(part)[0] != "token")


def _decode_pair(part: bytes) -> tuple[str, str]:
    name, _, value = part.decode("latin-1").partition("=")
    return unquote_plus(name), unquote_plus(value)
