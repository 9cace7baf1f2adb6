"""A command of the user that is started on each decision; nothing waits for it. Owns the processes."""

import os
import subprocess
from collections.abc import Sequence

from clients.connection import Event
from clients.decisions import status_of

MAX_RUNNING = 8  # commands at the same time; beyond that none is started
STDERR = 2


class DetectionHook:
    """Starts the program `command[0]` without a shell; its output goes to standard error."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, event: Event) -> list[str]:
        """Start it for a decision; returns the problems, earlier runs that failed included."""
        problems = self.ended()
        if len(self.running) >= MAX_RUNNING:
            return [*problems, f"expected at most {MAX_RUNNING} running, got another; not started for {event['label']}"]
        try:
            self.running.append(
                subprocess.Popen(
                    self._command,
                    env={**os.environ, **environment(event)},
                    stdin=subprocess.DEVNULL,
                    stdout=STDERR,
                    start_new_session=True,  # so that Ctrl-C does not reach it
                )
            )
        except (OSError, ValueError) as error:  # ValueError: a label with a NUL byte
            reason = error.strerror if isinstance(error, OSError) else error
            problems.append(f"expected to run {self._command[0]}, got: {reason}")
        return problems

    def ended(self) -> list[str]:
        """Forget the runs that have ended; returns a problem for each that failed."""
        done = [run for run in self.running if run.poll() is not None]
        self.running = [run for run in self.running if run not in done]
        return [f"expected exit status 0, got {run.returncode}" for run in done if run.returncode]


def environment(event: Event) -> dict[str, str]:
    """The environment variables that describe a decision to the command."""
    return {
        "RC_LABEL": event["label"],
        "RC_SCORE": str(event["score"]),
        "RC_AUDIO_TIME_S": str(event["audio_time_s"]),
        "RC_LAG_MS": str(event["lag_ms"]),
        "RC_STATUS": status_of(event),
    }
