"""A proxy of the test's own that records every connection, and answers it or passes it on."""

import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SOCKS5 = b"\x05"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "no_proxy")


class FakeProxy(socketserver.ThreadingTCPServer):
    """Answers each CONNECT with `answer`, or leads it to `target` whatever host it names."""

    daemon_threads = True

    def __init__(self, answer: bytes = b"HTTP/1.1 502 Bad Gateway\r\n\r\n", target: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.answer, self.target = answer, target
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class ProxyHandler(socketserver.StreamRequestHandler):
    """One connection, by HTTP CONNECT or by SOCKS5 as its first byte says."""

    server: FakeProxy

    def handle(self) -> None:
        first = self.rfile.read(1)
        accepted = self.socks() if first == SOCKS5[:1] else self.connect(first)
        if self.server.target is None:
            self.wfile.write(self.server.answer)
            return
        self.wfile.write(accepted)
        with socket.create_connection(("127.0.0.1", self.server.target)) as server:
            upward = threading.Thread(target=copy, args=(self.connection, server), daemon=True)
            upward.start()
            copy(server, self.connection)
            upward.join()

    def connect(self, first: bytes) -> bytes:
        """Read the head of a request; the answer that accepts it."""
        self.server.requests.append((first + self.rfile.readline()).decode(errors="replace").strip())
        while self.rfile.readline().strip():
            pass
        return b"HTTP/1.1 200 Connected\r\n\r\n"

    def socks(self) -> bytes:
        """Agree on no authentication and read the request; the answer that accepts it. RFC 1928."""
        self.rfile.read(self.rfile.read(1)[0])
        self.wfile.write(SOCKS5 + b"\0")
        *_, length = self.rfile.read(5)
        host, port = self.rfile.read(length).decode(), int.from_bytes(self.rfile.read(2))
        self.server.requests.append(f"SOCKS5 {host}:{port}")
        return SOCKS5 + bytes([0, 0, 1, 0, 0, 0, 0, 0, 0])


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Bytes from one side to the other until the first ends."""
    with suppress(OSError):
        with source.makefile("rb", 0) as reading, sink.makefile("wb", 0) as writing:
            shutil.copyfileobj(reading, writing)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def fake_proxy(answer: bytes = b"HTTP/1.1 502 Bad Gateway\r\n\r\n", target: int | None = None) -> Iterator[FakeProxy]:
    """A proxy for the length of the block."""
    with FakeProxy(answer, target) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
