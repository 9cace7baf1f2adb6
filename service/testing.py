"""A server process on this machine, for tests, benchmarks and the demo."""

import http.client
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
START_S = 60.0  # limit to get ready, on a slow machine
STOP_S = 10.0


def free_port() -> int:
    """A port on which no process listens at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def rc_serve(port: int, models: Path, model: str, *more: str) -> list[str]:
    """The command of a server with one default model."""
    options = ["--host", HOST, "--port", str(port), "--models", str(models), "--model", model, *more]
    return [sys.executable, "-m", "service.commands.serve", *options]


@contextmanager
def serving(port: int, command: Sequence[str], start_s: float = START_S) -> Iterator[None]:
    """Run a server while the block lasts; SystemExit when it does not get ready."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            if not wait_until_ready(server, port, start_s):
                log.seek(0)
                sys.exit(f"expected a server ready within {start_s:g} s, got:\n{log.read()}")
            yield
        finally:
            stop(server)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, start_s: float = START_S) -> bool:
    """True once it is ready, False when it has ended or takes longer than that."""
    deadline = time.monotonic() + start_s
    while server.poll() is None and time.monotonic() < deadline:
        if is_ready(port):
            return True
        time.sleep(0.1)
    return False


def is_ready(port: int) -> bool:
    """Whether /readyz says 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def stop(server: subprocess.Popen[bytes]) -> None:
    """End it, by force after STOP_S."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_S)
    server.kill()
    server.wait()
