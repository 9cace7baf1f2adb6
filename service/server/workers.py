"""Several processes behind one port: starts a worker again that has died, and passes SIGHUP on."""

import os
import signal
from contextlib import suppress

from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess


class WorkerSupervisor(Multiprocess):
    """uvicorn's, which would replace all workers on SIGHUP and end their streams."""

    failed = False  # a worker could not start serving, so the server has ended

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
        self.failed = any(process.exitcode == STARTUP_FAILURE for process in self.processes)
        self._notice_deaths()
        for dead in before - {process.pid for process in self.processes}:
            mark_process_dead(dead)  # type: ignore[no-untyped-call]

    def _notice_deaths(self) -> None:
        """Close the worker's end of its pipe here, so that the death of a worker during a health check is noticed."""
        for process in self.processes:
            process.child_conn.close()
