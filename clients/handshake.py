"""Opens the WebSocket to a server, through a proxy where the environment has one. Every failure is a StreamError."""

import json
import os

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidProxyStatus, InvalidStatus, InvalidURI, ProxyError
from websockets.http11 import Response
from websockets.uri import WebSocketURI, parse_uri

from clients.errors import ServerError, ServerUnreachableError
from clients.proxy import direct_advice, proxy_for, without_secrets
from clients.retry import RETRY_STATUSES, parse_retry_after

EXAMPLE = "ws://127.0.0.1:8000/v1/stream"
MAX_REASON = 300  # characters of a refusal's text that an error repeats
ADVICE = {
    401: "set the environment variable RC_API_KEY to a key of this server",
    403: "this server does not admit this client",
    404: "check the path of the address: streams are at /v1/stream and /v1/streams",
    426: "check the address, and that no proxy on the way removes the header Upgrade",
}
NOT_A_WEBSOCKET = "check the address: expected a WebSocket, got a page"


async def open_socket(url: str) -> ClientConnection:
    """An open WebSocket at `url`, with the API key of RC_API_KEY. Raises ServerError and ServerUnreachableError."""
    uri = parse_address(url)
    proxy = proxy_for(uri)
    key = os.environ.get("RC_API_KEY", "").strip()
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        return await open_websocket(
            url, compression=None, additional_headers=headers, proxy=proxy
        )  # audio won't deflate
    except InvalidStatus as error:
        raise refusal(error.response) from error
    except InvalidURI as error:
        raise ServerError(
            "redirected", f"expected a WebSocket, got a redirection to {without_secrets(error.uri)}", retryable=False
        ) from error
    except (OSError, ValueError, InvalidHandshake, ImportError) as error:
        raise _unreachable(uri, without_secrets(url), proxy and without_secrets(proxy), error) from error


def parse_address(url: str) -> WebSocketURI:
    """The parts of a ws:// or wss:// address. Raises ServerUnreachableError for anything else."""
    try:
        return parse_uri(url)
    except (InvalidURI, ValueError) as error:
        reason = error.msg if isinstance(error, InvalidURI) else str(error)
        raise ServerUnreachableError(
            f"expected an address such as {EXAMPLE}, got {without_secrets(url)!r}: {reason}", retryable=False
        ) from error


def refusal(response: Response) -> ServerError:
    """The error of a handshake that the server answered with another status than 101."""
    status = response.status_code
    advice = ADVICE.get(status, NOT_A_WEBSOCKET if status < 400 else "")
    message = "; ".join(filter(None, (_reason(response), advice)))
    retry_after_s = _retry_after_s(response.headers)
    retryable = status in RETRY_STATUSES or retry_after_s is not None
    return ServerError(f"http_{status}", message, retryable=retryable, retry_after_s=retry_after_s)


def _reason(response: Response) -> str:
    """Why, in the server's words: a plain text or our JSON error; of a page in HTML only the status line."""
    text = (response.body or b"").decode(errors="replace").strip()
    try:
        text = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError, RecursionError):
        if text.startswith("<"):
            text = ""
    return " ".join(str(text).split())[:MAX_REASON] or response.reason_phrase or f"status {response.status_code}"


def _retry_after_s(headers: Headers) -> float | None:
    values, dates = headers.get_all("Retry-After"), headers.get_all("Date")
    return parse_retry_after(values[0], dates[0] if dates else None) if values else None


def _unreachable(uri: WebSocketURI, url: str, proxy: str | None, error: Exception) -> ServerUnreachableError:
    """The error where no server answered; it names the proxy on the way."""
    if proxy is None:
        return ServerUnreachableError(f"expected a server at {url}, got: {error}")
    if isinstance(error, ImportError):
        return ServerUnreachableError(
            f"expected the package python-socks for the proxy {proxy}, got none: pip install 'python-socks[asyncio]', "
            f"or {direct_advice(uri)}",
            retryable=False,
        )
    cause = f"{error}: {error.__cause__}" if isinstance(error, ProxyError) and error.__cause__ else str(error)
    retryable, retry_after_s = True, None
    if isinstance(error, InvalidProxyStatus):
        retry_after_s = _retry_after_s(error.response.headers)
        retryable = error.response.status_code in RETRY_STATUSES or retry_after_s is not None
    return ServerUnreachableError(
        f"expected a server at {url} through the proxy {proxy}, got: {cause}; correct the proxy in the environment, "
        f"or {direct_advice(uri)}",
        retryable=retryable,
        retry_after_s=retry_after_s,
    )
