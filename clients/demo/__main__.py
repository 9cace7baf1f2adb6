"""`make demo`: a server of its own on a free port, the bundled recording at live pace, each label as it comes."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from clients.connection import Event
from clients.stream import Options, show_line, stream_files

HERE = Path(__file__).parent
RECORDING, SCRIPT = HERE / "demo.flac", HERE / "demo.json"
HOST = "127.0.0.1"
START_S = 60.0  # what a server may take to get ready on a slow machine
STOP_S = 10.0


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


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


def wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server is ready; SystemExit when it ended or takes longer than START_S."""
    deadline = time.monotonic() + START_S
    while not is_ready(port):
        if server.poll() is not None:
            sys.exit(f"demo: expected a running server, got exit status {server.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"demo: expected a server ready within {START_S:g} s, got none")
        time.sleep(0.1)


def listen(port: int) -> list[str]:
    """Stream the recording, print each event as it comes, and return the labels heard."""
    labels = []

    def show(path: Path, event: Event) -> None:
        show_line(path, event)
        if event["type"] == "detection":
            labels.append(event["label"])

    url = f"ws://{HOST}:{port}/v1/stream"
    asyncio.run(stream_files([RECORDING], Options(url, "continuous", "balanced", realtime=True, chunk_s=0.04), show))
    return labels


def main() -> int:
    """Run the demo; exit status 1 unless every keyword of the recording was heard and nothing else."""
    script = json.loads(SCRIPT.read_text())
    keywords = [line["word"] for line in script if line["keyword"]]
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "service.cli", "--host", HOST, "--port", str(port)])
    try:
        wait_until_ready(server, port)
        print(f"synthetic voices say: {' '.join(line['word'] for line in script)}", flush=True)
        labels = listen(port)
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(STOP_S)
        server.kill()
    print(f"keywords said:  {' '.join(keywords)}\nlabels heard:   {' '.join(labels)}")
    return int(labels != keywords)


if __name__ == "__main__":
    sys.exit(main())
