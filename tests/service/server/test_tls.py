"""https and wss, and the certificate read again."""

import json
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from service.server.tls import Certificate, CertificateError
from service.testing import free_port
from tests.support.certificates import needs_openssl, write_certificate
from tests.support.server import serving
from tests.support.speech import pcm, synthesize

pytestmark = needs_openssl


async def test_https_and_wss(models_dir: Path, tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    with serving(models_dir, tls_cert=cert, tls_key=key) as running:
        assert httpx.get(f"https://{running.address}/readyz", verify=trusting).status_code == 200
        async with connect(f"wss://{running.address}/v1/stream?speed=fast", ssl=trusting) as socket:
            await socket.send(pcm(synthesize("yes")))
            await socket.send('{"type":"close"}')
            kinds = [json.loads(message)["type"] async for message in socket]
        assert kinds == ["ready", "detection", "summary"]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{running.http}/readyz")


def test_files_that_are_not_a_certificate_with_its_key_are_refused(tmp_path: Path) -> None:
    cert, key = write_certificate(tmp_path / "one")
    _, other_key = write_certificate(tmp_path / "two")
    locked_cert, locked_key = write_certificate(tmp_path / "three", password="secret")  # noqa: S106
    Certificate(cert, key).check()
    wrong: list[tuple[Path, Path | None, str]] = [
        (cert, other_key, "key values mismatch"),
        (key, key, "no PEM"),
        (cert, None, "no PEM"),
        (locked_cert, locked_key, "a key with a password|bad decrypt|bad password"),
        (tmp_path / "nowhere", key, "no such file"),
    ]
    for chain, private, reason in wrong:
        with pytest.raises(
            CertificateError, match=f"{chain}.*: expected a certificate with its key, got: .*({reason})"
        ):
            Certificate(chain, private).check()


def subject(port: int) -> str:
    """The name in the certificate that a new connection gets."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, text=True)
    return shown.stdout.strip().rpartition("=")[2].strip()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_reads_the_certificate_again_and_refuses_a_broken_one(
    models_dir: Path, tmp_path: Path, workers: str
) -> None:
    port = free_port()
    cert, key = write_certificate(tmp_path / "used", "first")
    other_cert, other_key = write_certificate(tmp_path / "new", "second")
    command = [sys.executable, "-m", "service.commands.serve", "--port", str(port), "--workers", workers]
    files = ["--models", str(models_dir), "--model", "tones", "--tls-cert", str(cert), "--tls-key", str(key)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, *files], stderr=log)
    try:
        wait_for_log(tmp_path / "log", "Application startup complete", int(workers))
        wait_for_log(tmp_path / "log", "Uvicorn running on https", 1)
        assert subject(port) == "first"
        shutil.copy(other_cert, cert)  # without its key
        process.send_signal(signal.SIGHUP)
        wait_for_log(tmp_path / "log", "reload refused.*key values mismatch", int(workers))
        assert {subject(port) for _ in range(10)} == {"first"}
        shutil.copy(other_key, key)
        process.send_signal(signal.SIGHUP)
        wait_for_log(tmp_path / "log", "reloaded", int(workers))
        assert {subject(port) for _ in range(10)} == {"second"}
    finally:
        process.terminate()
        process.wait(20)


def wait_for_log(file: Path, pattern: str, times: int) -> None:
    end = time.monotonic() + 60
    while len(re.findall(pattern, file.read_text())) < times:
        assert time.monotonic() < end, file.read_text()
        time.sleep(0.05)
