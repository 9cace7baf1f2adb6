"""Models, keys and the certificate read again while the server runs, on SIGHUP. Streams continue."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from service.access.api_keys import ApiKeyError, ApiKeys
from service.server.state import ServerState
from service.server.tls import Certificate, CertificateError
from service.spotting.metadata import ModelError
from service.telemetry.logs import log_event


async def reload(state: ServerState, keys: ApiKeys, certificate: Certificate | None) -> bool:
    """Read all of them again; False, nothing changes and the log has the reason when one of them is refused."""
    try:
        new_keys = keys.read()
        if certificate:
            certificate.check()
        await state.models.reload()
        if certificate:
            certificate.reload()
    except (ApiKeyError, CertificateError, ModelError, OSError) as error:
        log_event("reload refused, nothing changes", logging.ERROR, reason=str(error))
        state.metrics.reloads.labels("refused").inc()
        return False
    keys.replace(new_keys)
    log_event("reloaded", models={model.metadata.name: model.sha256 for model in state.models})
    state.metrics.reloads.labels("done").inc()
    return True


@contextmanager
def on_hangup(act: Callable[[], Coroutine[Any, Any, Any]]) -> Iterator[None]:
    """Run `act` on the running loop at every SIGHUP, where signals can be received: not outside the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[Any]]()

    def start() -> None:
        tasks.add(task := loop.create_task(act()))
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, start)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()
