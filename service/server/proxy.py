"""A proxy that serves this server under a path of its own."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send


class RootPathMiddleware:
    """Adds the prefix of the proxy to the scope, and to the path where the proxy has stripped it."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path = app, root_path

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._root_path and scope["type"] in ("http", "websocket"):
            scope["root_path"] = self._root_path
            if not scope["path"].startswith(self._root_path + "/"):
                scope["path"] = self._root_path + scope["path"]
                scope["raw_path"] = self._root_path.encode() + scope["raw_path"]
        return self._app(scope, receive, send)
