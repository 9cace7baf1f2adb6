"""A proxy of the test's own that records every connection, and answers it or passes it on."""

import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
    server: FakeProxy

    def handle(self) -> None:
        self.server.requests.append(self.rfile.readline().decode(errors="replace").strip())
        while self.rfile.readline().strip():
            pass
        if self.server.target is None:
            self.wfile.write(self.server.answer)
            return
        self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            upward = threading.Thread(target=copy, args=(self.connection, there), daemon=True)
            upward.start()
            copy(there, self.connection)
            upward.join()


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
