import asyncio
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.supervisors import Multiprocess
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from service.commands.serve import main, parse, server_config
from service.server.websocket import uvicorn_protocols
from service.settings import Settings
from service.testing import free_port
from tests.support.certificates import needs_openssl, write_certificate
from tests.support.server import serving
from tests.support.speech import pcm, synthesize
from tests.support.ws_client import client


def test_flags_come_before_the_environment_and_that_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RC_PORT", "9000")
    monkeypatch.setenv("RC_HOST", "127.0.0.2")
    monkeypatch.setenv("RC_MAX_STREAMS", "5")
    settings = parse(["--port", "9001", "--models", "here", "--model", "tones", "--workers", "2"])
    assert settings == Settings(
        host="127.0.0.2", port=9001, models_dir=Path("here"), default_model="tones", workers=2, max_streams=5
    )


def test_garbage_collections_are_rare_and_skip_what_startup_left(models_dir: Path) -> None:
    thresholds, full = gc.get_threshold(), 0

    def count(phase: str, info: dict[str, int]) -> None:
        nonlocal full
        full += phase == "start" and info["generation"] == 2

    try:
        make_app: Any = server_config(Settings(models_dir=models_dir, default_model="tones")).app
        make_app()
        assert gc.get_freeze_count() > 10_000
        gc.callbacks.append(count)
        kept: list[list[int]] = [[] for _ in range(200_000)]  # as much as some 1,200 streams
        assert (len(kept), full) == (200_000, 0)
        kept += [[] for _ in range(200_000)]
        assert full > 0
    finally:
        gc.callbacks.remove(count)
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def test_a_wrong_environment_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RC_IDLE_TIMEOUT_S", "-1")
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "rc-serve: idle_timeout_s: expected greater than 0, got '-1'\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_model_the_error_names_the_flag(
    tmp_path: Path,
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    workers: str,
) -> None:
    monkeypatch.setattr(Multiprocess, "run", lambda self: pytest.fail("workers were started"))
    monkeypatch.setenv("RC_WORKERS", workers)
    monkeypatch.setenv("RC_PORT", "0")
    assert main(["--models", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"rc-serve: expected a model at {tmp_path}/NAME/model.onnx, got none: --models (or RC_MODELS_DIR) names a "
        "directory with one directory per model, each with its model.onnx\n"
    )
    assert main(["--models", str(models_dir), "--model", "tone"]) == 1
    assert capsys.readouterr().err == "rc-serve: default model: expected among other, tones, got 'tone'\n"


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_command_serves_and_drains_on_sigterm(models_dir: Path, workers: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "service.commands.serve",
        "--port",
        str(port),
        "--models",
        str(models_dir),
        "--model",
        "tones",
    ]
    process = subprocess.Popen([*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True)
    try:
        await_ready(f"http://127.0.0.1:{port}/readyz")
        async with client(f"ws://127.0.0.1:{port}/v1/stream") as streaming:
            await streaming.send(pcm(synthesize("yes")), 1280)
            await streaming.until("detection")
            process.send_signal(signal.SIGTERM)
            code, last = await streaming.closed()
        assert (code, last["type"], last["detections"]) == (1012, "summary", 1)
        assert process.wait(10) == 0
        assert not re.search("Traceback|ERROR", process.stderr.read() if process.stderr else "")
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()


async def test_a_client_that_takes_nothing_does_not_keep_its_socket(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_protocols, "ABORT_S", 0.3)
    settings = {"scores_every_ms": 10, "encoding": "pcm_mulaw", "sample_rate": 8000}
    with serving(models_dir, close_timeout_s=0.1) as running, socket.socket() as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(running.server.servers[0].sockets[0].getsockname())
        small.setblocking(False)
        socket_of = connect(running.ws(**settings), sock=small, compression=None, max_queue=1, ping_interval=None)
        async with socket_of as deaf, asyncio.timeout(10):
            deaf.transport.pause_reading()
            monkeypatch.setattr(deaf.transport, "resume_reading", lambda: None, raising=False)
            with pytest.raises(ConnectionClosed):  # noqa: PT012 (until the server gives up)
                while True:
                    await deaf.send(bytes(32000))
            while running.server.server_state.connections:
                await asyncio.sleep(0.05)


def await_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} never became ready")


def run_serve(models_dir: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.commands.serve", "--models", str(models_dir), "--model", "tones", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_one_line_and_exit_status_1(models_dir: Path, workers: str) -> None:
    with taken_port() as port:
        done = run_serve(models_dir, "--port", str(port), "--workers", workers)
    assert done.returncode == 1
    assert done.stderr == f"rc-serve: expected a free port, got 127.0.0.1:{port}: address already in use\n"


def test_a_wyoming_port_in_use_is_one_line_and_exit_status_1(models_dir: Path) -> None:
    with taken_port() as port:
        done = run_serve(models_dir, "--port", "0", "--wyoming", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stderr == f"rc-serve: expected a free port, got 127.0.0.1:{port}: address already in use\n"


@needs_openssl
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_key_of_another_certificate_is_one_line_and_exit_status_1(
    models_dir: Path, tmp_path: Path, workers: str
) -> None:
    cert, _ = write_certificate(tmp_path / "one")
    _, key = write_certificate(tmp_path / "two")
    flags = ["--port", "0", "--workers", workers, "--tls-cert", str(cert), "--tls-key", str(key), "--log", "json"]
    done = run_serve(models_dir, *flags)
    assert done.returncode == 1
    assert done.stderr == (
        f"rc-serve: {cert} and {key}: expected a certificate with its key, got: key values mismatch\n"
    )


@pytest.mark.parametrize("log", ["text", "json"])
def test_a_closed_stderr_does_not_matter(models_dir: Path, log: str) -> None:
    port = free_port()
    flags = ["--models", str(models_dir), "--model", "tones", "--port", str(port), "--log", log]
    command = [sys.executable, "-m", "service.commands.serve", *flags]
    process = subprocess.Popen(command, preexec_fn=lambda: os.close(2))
    try:
        await_ready(f"http://127.0.0.1:{port}/readyz")
        assert httpx.get(f"http://127.0.0.1:{port}/nowhere").status_code == 404
    finally:
        process.terminate()
        assert process.wait(20) == 0
