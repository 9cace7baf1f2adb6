"""Models and keys anew while the server runs, on SIGHUP. Streams go on; what is broken changes nothing."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from service.access.api_keys import ApiKeyError, ApiKeys
from service.server.state import ServerState
from service.spotting.model import ModelError
from service.telemetry.logs import log_event


async def reload(state: ServerState, keys: ApiKeys) -> bool:
    """Read keys and models again; False, and the log says why, when one of them was refused."""
    try:
        keys.reload()
        await state.models.reload()
    except (ApiKeyError, ModelError, OSError) as error:
        log_event("reload refused, all stays as it was", logging.ERROR, reason=str(error))
        state.metrics.reloads.labels("refused").inc()
        return False
    log_event("reloaded", models={model["name"]: model["sha256"] for model in state.models.describe()})
    state.metrics.reloads.labels("done").inc()
    return True


@contextmanager
def on_hangup(act: Callable[[], Coroutine[Any, Any, Any]]) -> Iterator[None]:
    """Run `act` on the running loop at every SIGHUP, where signals can be had: a thread has none."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[Any]]()

    def heard() -> None:
        tasks.add(task := loop.create_task(act()))
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, heard)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()
