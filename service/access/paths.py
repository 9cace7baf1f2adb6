"""The path of a request as routes see it, and the paths that need no API key."""

from starlette.types import Scope

PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})  # no key, no limit of rate, any origin
PAGE_ASSETS = ("/web/", "/docs/")  # no key: a script or style of a page cannot send one


def route_path(scope: Scope) -> str:
    """The path without the prefix of a proxy (`--root-path`)."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(prefix) if path.startswith(prefix + "/") else path
