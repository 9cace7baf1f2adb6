"""Headers of every answer that say what a browser may do with it."""

from collections.abc import Awaitable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.paths import route_path

PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
DOCS_CSP = (  # Swagger UI sets styles itself and has its pictures in its style sheet
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
BASE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # an address may have a key in it
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class SecurityHeadersMiddleware:
    """Adds the headers to every HTTP answer, denials included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, with_security_headers(scope, send) if scope["type"] == "http" else send)


def with_security_headers(scope: Scope, send: Send) -> Send:
    """`send` that adds the headers for the path of the request."""
    policy = DOCS_CSP if route_path(scope) == "/docs" else PAGE_CSP

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update({**BASE_HEADERS, "Content-Security-Policy": policy})
        await send(message)

    return send_with_headers
