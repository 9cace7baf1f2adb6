"""`make demo`: a server of its own on a free port, the bundled recording at live pace, each label as it comes."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clients.connection import Event
from clients.player import Options
from clients.stream import show_line, stream_files

HERE = Path(__file__).parent
RECORDING, SCRIPT = HERE / "demo.flac", HERE / "demo.json"
MODELS, MODEL = HERE.parents[1] / "models", "speech-commands-rc"
HOST = "127.0.0.1"
START_S = 60.0  # what a server may take to get ready on a slow machine
STOP_S = 10.0


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(port: int) -> Iterator[None]:
    """A server, ready, on the bundled model for as long as the block lasts; SystemExit when it does not get ready."""
    arguments = ["--host", HOST, "--port", str(port), "--models", str(MODELS), "--model", MODEL]
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen([sys.executable, "-m", "service.cli", *arguments], stdout=log, stderr=log)
        try:
            if not wait_until_ready(server, port):
                log.seek(0)
                sys.exit(f"demo: expected a server ready within {START_S:g} s, got:\n{log.read()}")
            yield
        finally:
            stop(server)


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> bool:
    """True as soon as it is ready, False when it ended or takes longer than START_S."""
    deadline = time.monotonic() + START_S
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


def listen(port: int) -> list[str]:
    """Stream the recording, print each event as it comes, and return the labels heard."""
    labels = []

    def show(path: Path, event: Event) -> None:
        show_line(path, event)
        if event["type"] == "detection":
            labels.append(event["label"])

    asyncio.run(stream_files([RECORDING], Options(f"ws://{HOST}:{port}/v1/stream"), show))
    return labels


def main() -> int:
    """Run the demo; exit status 1 unless every keyword of the recording was heard and nothing else."""
    script = json.loads(SCRIPT.read_text())
    keywords = [line["word"] for line in script if line["keyword"]]
    print(f"synthetic voices say: {' '.join(line['word'] for line in script)}", flush=True)
    with serving(port := free_port()):
        labels = listen(port)
    print(f"keywords said:  {' '.join(keywords)}\nlabels heard:   {' '.join(labels)}")
    return int(labels != keywords)


if __name__ == "__main__":
    sys.exit(main())
