"""Web pages of other origins: refused unless allowed, and CORS headers for those that are.

Browsers apply CORS to HTTP only, so WebSocket handshakes are checked here as well. A request without an Origin does
not come from a page.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from service.access.denial import AccessCheck, AccessDenied
from service.access.paths import PUBLIC_PATHS, route_path
from service.telemetry.metrics import Metrics


class OriginMiddleware(AccessCheck):
    """Refuses requests of other origins than this server's and `allowed`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, allowed: Collection[str]) -> None:
        super().__init__(_by_type(_with_cors(app, allowed), app), metrics)
        self._allowed = frozenset(allowed)

    def authorize(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or route_path(scope) in PUBLIC_PATHS or not self._allowed.isdisjoint({origin, "*"}):
            return
        if urlsplit(origin).netloc != headers.get("host", ""):
            message = f"expected an origin of this server or one of --allowed-origins, got {origin!r}"
            raise AccessDenied(403, "forbidden_origin", message)


def _by_type(http: ASGIApp, other: ASGIApp) -> ASGIApp:
    return lambda scope, receive, send: (http if scope["type"] == "http" else other)(scope, receive, send)


def _with_cors(app: ASGIApp, allowed: Collection[str]) -> CORSMiddleware:
    """Preflights are answered before authentication, as they have no key; answers name the allowed origin."""
    return CORSMiddleware(
        app,
        allow_origins=allowed,
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=("*",),
        expose_headers=("Retry-After",),
    )
