"""When the next piece of a recording may be sent. Owns the clock of one sending; knows nothing of sockets.

Live pace sends a piece when a microphone would have recorded it. Full pace keeps at most `window_s` of audio on the
way: the server's `scores` messages show how far it has come. Full pace is never slower than live pace, so a
server that reports nothing still gets everything.
"""

import asyncio


class Pace:
    """The sending of one recording, from the first `wait` on."""

    def __init__(self, window_s: float = 0.0, start: float | None = None) -> None:
        """`window_s`: seconds of audio that may be on the way without a score; 0 is live pace.

        `start`: when the first sample is spoken, on the event loop's clock; by default at the first `wait`.
        """
        self.stopped = False
        self._window_s = window_s
        self._scored_s = 0.0
        self._start = start
        self._progress = asyncio.Event()

    async def wait(self, end_s: float) -> bool:
        """Wait until the piece that ends at `end_s` of audio time may go; False once `stop` was called."""
        try:
            async with asyncio.timeout_at(self._due(end_s)):
                while not self.stopped and end_s - self._scored_s > self._window_s:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass  # a live source would have recorded it by now
        return not self.stopped

    def scored(self, audio_time_s: float) -> None:
        """The server has scored the audio up to here."""
        self._scored_s = max(self._scored_s, audio_time_s)
        self._progress.set()

    def stop(self) -> None:
        """The answer is known: send no more."""
        self.stopped = True
        self._progress.set()

    def lag_ms(self, audio_time_s: float) -> float:
        """How long ago, at live pace, the sample at `audio_time_s` was spoken."""
        return (asyncio.get_running_loop().time() - self._due(audio_time_s)) * 1000

    def _due(self, audio_time_s: float) -> float:
        if self._start is None:
            self._start = asyncio.get_running_loop().time()
        return self._start + audio_time_s
