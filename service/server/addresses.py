"""Whether the server can listen at its addresses, tried before anything is started."""

import socket


class AddressError(ValueError):
    """The server cannot listen at an address; the message says where and why."""


def check_address(host: str, port: int) -> None:
    """Bind every address of `host` and let it go again. Raises AddressError."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"expected an address of this machine, got {host!r}: {_reason(error)}") from None
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise AddressError(f"expected a free port, got {host}:{port}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
