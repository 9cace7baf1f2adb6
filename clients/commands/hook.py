"""A command of the user that is started on each detection and never waited for. Owns the processes."""

import os
import subprocess
from collections.abc import Sequence

from clients.connection import Event

AT_ONCE = 8  # running commands; while there are so many, no other is started
STDERR = 2


class Hook:
    """Starts the program `words[0]`, without a shell; its output goes to standard error."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, event: Event) -> list[str]:
        """Start it for a detection; returns what there is to complain of, earlier runs that failed too."""
        complaints = self.ended()
        if len(self._running) >= AT_ONCE:
            return [*complaints, f"expected at most {AT_ONCE} running, got another; not started for {event['label']}"]
        try:
            self._running.append(
                subprocess.Popen(
                    self._words,
                    env={**os.environ, **environment(event)},
                    stdin=subprocess.DEVNULL,
                    stdout=STDERR,
                    start_new_session=True,  # Ctrl-C is not for it
                )
            )
        except OSError as error:
            complaints.append(f"expected to run {self._words[0]}, got: {error.strerror}")
        return complaints

    def ended(self) -> list[str]:
        """Forget the runs that have ended; returns a complaint for each that failed."""
        done = [run for run in self._running if run.poll() is not None]
        self._running = [run for run in self._running if run not in done]
        return [f"expected exit status 0, got {run.returncode}" for run in done if run.returncode]


def environment(event: Event) -> dict[str, str]:
    """What the command is told of a detection."""
    return {
        "RC_LABEL": event["label"],
        "RC_SCORE": str(event["score"]),
        "RC_AUDIO_TIME_S": str(event["audio_time_s"]),
        "RC_LAG_MS": str(event["lag_ms"]),
    }
