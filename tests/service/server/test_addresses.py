import socket

import pytest

from service.server.addresses import AddressError, check_address


def test_a_free_address_stays_free() -> None:
    check_address("127.0.0.1", 0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_an_address_where_the_server_cannot_listen_is_refused() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(AddressError, match=f"expected a free port, got 127.0.0.1:{port}: address already in use"):
            check_address("127.0.0.1", port)
    for host in ("203.0.113.7", "no.such.host.invalid", "a" * 300, "::1::"):
        with pytest.raises(AddressError, match="expected an? (free port|address of this machine), got '?" + host[:9]):
            check_address(host, 8000)
