"""rc-serve: run the server. A flag for each setting of settings.py, over the environment, over its default."""

import argparse
import gc
import logging
import os
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from service.access.api_keys import ApiKeyError
from service.server.addresses import AddressError, check_address
from service.server.app import create_app
from service.server.tls import Certificate, CertificateError
from service.server.websocket.draining_server import DrainingServer
from service.server.websocket.uvicorn_protocols import RequestProtocol, StreamProtocol
from service.server.workers import WorkerSupervisor
from service.settings import SECRET, Settings, explain
from service.spotting.metadata import ModelError
from service.telemetry.logs import log_config, log_event, open_closed_stderr, stderr_as_log
from service.telemetry.metrics import SHARED

FLAGS = {"models_dir": "--models", "default_model": "--model"}  # those that differ from the setting's name
HUNG_S = 30  # a worker that does not answer for this long is restarted; the first answer comes once it has imported
RETRY_S = 5  # before a worker that cannot start is restarted: its files may have been broken for a moment
COLLECT_AFTER = (5_000, 10, 5)  # new objects, collections of these, of those: a full one after some 1,500 new streams
CANNOT_START = (AddressError, ApiKeyError, CertificateError, ModelError, OSError)

T = TypeVar("T")


def server_config(settings: Settings, certificate: Certificate | None = None) -> uvicorn.Config:
    """How uvicorn runs the app: one process, or `settings.workers` of them."""
    certificate = certificate or _certificate(settings)
    return uvicorn.Config(
        partial(_make_app, settings, certificate),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http=partial(RequestProtocol, settings.handshake_timeout_s),  # type: ignore[arg-type]
        ws=StreamProtocol,
        ws_max_size=2 * settings.max_message_bytes,  # the app refuses what is a little too big with a reason
        ws_per_message_deflate=False,  # audio does not deflate
        timeout_graceful_shutdown=settings.drain_timeout_s,
        timeout_worker_healthcheck=HUNG_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_context_factory=partial(_make_context, certificate) if certificate else None,
        log_config=log_config(settings.log),
        access_log=False,
    )


def parse(argv: list[str] | None) -> Settings:
    """The command line over the environment over the defaults. Exits with one line for wrong settings."""
    parser = argparse.ArgumentParser(
        prog="rc-serve",
        description="Serve keyword spotting over WebSocket and HTTP. "
        "Every setting is also an environment variable: RC_MAX_FILES for --max-files. "
        "API keys come from RC_API_KEYS, separated by commas, or from a file.",
    )
    for name, field in Settings.model_fields.items():
        if name not in SECRET:
            flag = FLAGS.get(name, "--" + name.replace("_", "-"))
            shown = isinstance(field.default, str | int | float) and field.default != ""
            default = f" (default: {field.default})" if shown else ""
            value = flag.strip("-").rpartition("-")[2].upper()
            parser.add_argument(flag, dest=name, metavar=value, help=f"{field.description}{default}")
    args = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    try:
        return Settings(**args)
    except ValidationError as error:
        sys.exit(_complain(explain(error)))


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal ends it; exit status 0, or 1 when the server cannot start."""
    open_closed_stderr()
    settings = parse(argv)
    if settings.wyoming and not find_spec("wyoming"):
        return _complain("--wyoming expects the package wyoming, got none: pip install '.[wyoming]'")
    _allow_many_sockets()
    with stderr_as_log() if settings.log == "json" else nullcontext():
        certificate = _certificate(settings)
        config = server_config(settings, certificate)
        try:
            app = _check(settings, certificate)
        except CANNOT_START as error:
            return _complain(str(error))
        return _serve_workers(config) if settings.workers > 1 else _serve(config, app)


def _check(settings: Settings, certificate: Certificate | None) -> FastAPI:
    """The app, after everything that can fail at start has been tried. Raises CANNOT_START."""
    if certificate:
        certificate.check()
    check_address(settings.host, settings.port)
    if settings.wyoming:
        host, _, port = settings.wyoming.removeprefix("tcp://").rpartition(":")
        check_address(host.strip("[]"), int(port))
    return _calm_collector(create_app(settings, certificate))


def _serve(config: uvicorn.Config, app: FastAPI) -> int:
    config.app, config.factory = app, False
    server = DrainingServer(config, app.state.server.drain)
    with suppress(SystemExit):  # uvicorn's, when it cannot start; the log has the reason
        server.run()
    return 0 if server.started else 1


def _serve_workers(config: uvicorn.Config) -> int:
    """Each worker makes its own app."""
    with TemporaryDirectory() as shared:
        os.environ[SHARED] = shared
        supervisor = WorkerSupervisor(config, [config.bind_socket()])
        supervisor.run()
    return int(supervisor.failed)


def _make_app(settings: Settings, certificate: Certificate | None) -> FastAPI:
    """A worker's app."""
    return _calm_collector(_or_retry(partial(create_app, settings, certificate)))


def _make_context(
    certificate: Certificate, config: uvicorn.Config, default: Callable[[], ssl.SSLContext]
) -> ssl.SSLContext:
    _or_retry(certificate.check)
    return certificate.create_context(config, default)


def _or_retry(make: Callable[[], T]) -> T:
    """The result. A worker whose files broke since the start logs why, and ends after RETRY_S to be restarted."""
    try:
        return make()
    except CANNOT_START as error:
        log_event("a worker cannot start", logging.ERROR, reason=str(error))
        time.sleep(RETRY_S)
        sys.exit(1)


def _calm_collector(app: FastAPI) -> FastAPI:
    """Have fewer garbage collections, and none that looks at the app and its imports: all streams wait for them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    return app


def _certificate(settings: Settings) -> Certificate | None:
    return Certificate(settings.tls_cert, settings.tls_key) if settings.tls_cert else None


def _complain(reason: str) -> int:
    """One line on stderr; returns the exit status."""
    print(f"rc-serve: {' '.join(reason.split())}", file=sys.stderr)
    return 1


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one: the usual soft limit is fewer than the streams."""
    with suppress(ImportError, ValueError):  # Windows has no such limit, macOS may not let it be raised
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
