"""Which proxy of the environment a WebSocket goes through: none to this machine, and clear errors for the others."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import WebSocketURI

from clients.errors import ServerUnreachableError

LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")
SCHEMES = "http://, https:// or socks5://"


def proxy_for(uri: WebSocketURI) -> str | None:
    """The address of the proxy for this server, None for a direct connection. ServerUnreachableError for a bad one."""
    if is_loopback(uri.host) or (proxy := get_proxy(uri)) is None:
        return None
    try:
        parse_proxy(proxy)
    except (InvalidProxy, ValueError) as error:
        reason = error.msg if isinstance(error, InvalidProxy) else str(error)
        raise ServerUnreachableError(
            f"expected a proxy such as {SCHEMES}HOST:PORT in the environment, got {without_secrets(proxy)!r}: "
            f"{reason}; correct it, or {direct_advice(uri)}",
            retryable=False,
        ) from error
    return proxy


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, however it is spelled (`LOCALHOST.`, `127.1`, `0.0.0.0`)."""
    name = host.lower().rstrip(".")
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    address = _parse_address(name)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address is not None and (address.is_loopback or address.is_unspecified)


def _parse_address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))  # the short forms that a connection takes too
    except (OSError, UnicodeError):
        return None


def direct_advice(uri: WebSocketURI) -> str:
    """What to do where the server should be reached without the proxy."""
    return f"set NO_PROXY={uri.host} to connect directly"


def without_secrets(address: str) -> str:
    """An address without user, password and query: what may stand in a message."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return address.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else address.rpartition("@")[2]
