"""A proxy that serves this server under a path of its own."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPathMiddleware:
    """Adds the prefix of the proxy to the scope, whether the proxy strips it from the path or not."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._root_path:
            scope["root_path"] = self._root_path
        return self._app(scope, receive, send)
