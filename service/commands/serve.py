"""rc-serve: run the server. A flag for each setting of settings.py, over the environment, over its default."""

import argparse
import gc
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from service.access.api_keys import ApiKeyError
from service.server.app import create_app
from service.server.uvicorn_protocols import DrainingServer, RequestProtocol, StreamProtocol
from service.settings import Settings
from service.spotting.model import ModelError
from service.telemetry.logs import log_config
from service.telemetry.metrics import SHARED

SHORT = {"models_dir": "--models", "default_model": "--model"}
HUNG_S = 30  # a worker that has not answered for so long is started anew; the first answer comes once it has imported
NO_FLAG = {"api_keys"}  # everyone on the machine sees the flags of a command


class WorkerSupervisor(Multiprocess):
    """uvicorn's: it starts a worker again that has died. On SIGHUP it would replace them all, and end their streams."""

    def init_processes(self) -> None:
        super().init_processes()
        self._notice_deaths()

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        self._notice_deaths()
        for dead in before - {process.pid for process in self.processes}:
            mark_process_dead(dead)  # type: ignore[no-untyped-call]

    def _notice_deaths(self) -> None:
        """Without the worker's end of its pipe here, one that dies while it is asked for a sign of life is noticed."""
        for process in self.processes:
            process.child_conn.close()


def server_config(settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the app: one process, or `settings.workers` of them."""
    return uvicorn.Config(
        partial(_make_app, settings),
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
        log_config=log_config(settings.log),
        access_log=False,
    )


def parse(argv: list[str] | None) -> Settings:
    """The command line over the environment over the defaults."""
    parser = argparse.ArgumentParser(
        prog="rc-serve",
        description="Serve keyword spotting over WebSocket and HTTP. "
        "Every setting is also an environment variable: RC_MAX_FILES for --max-files. "
        "API keys come from RC_API_KEYS, separated by commas, or from a file.",
    )
    for name, field in Settings.model_fields.items():
        if name not in NO_FLAG:
            flag = SHORT.get(name, "--" + name.replace("_", "-"))
            default = "" if field.default in (None, "") else f" (default: {field.default})"
            value = flag.strip("-").rpartition("-")[2].upper()
            parser.add_argument(flag, dest=name, metavar=value, help=f"{field.description}{default}")
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    try:
        return Settings(**given)
    except ValueError as error:
        parser.error(str(error))


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; exit status 0, or 1 when the server cannot start."""
    settings = parse(argv)
    _allow_many_sockets()
    config = server_config(settings)
    if settings.wyoming and not find_spec("wyoming"):
        print("rc-serve: --wyoming expects the package wyoming, got none: pip install '.[wyoming]'", file=sys.stderr)
        return 1
    try:
        app = _make_app(settings)
    except (ModelError, ApiKeyError, OSError) as error:
        print(f"rc-serve: {error}", file=sys.stderr)
        return 1
    if settings.workers > 1:  # each makes its own app; one that cannot would be started again for ever
        with TemporaryDirectory() as shared:
            os.environ[SHARED] = shared
            WorkerSupervisor(config, [config.bind_socket()]).run()
        return 0
    config.app, config.factory = app, False
    server = DrainingServer(config, app.state.server.drain)
    server.run()
    return 0 if server.started else 1


def _make_app(settings: Settings) -> FastAPI:
    """The app, it and all that was imported for it hidden from full garbage collections, for which all streams wait."""
    app = create_app(settings)
    gc.collect()
    gc.freeze()
    return app


def _allow_many_sockets() -> None:
    """As many open files as the system lets this process have: the usual soft limit is fewer than its streams."""
    with suppress(ImportError, ValueError):  # Windows has no such limit, macOS may not let it be lifted
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
