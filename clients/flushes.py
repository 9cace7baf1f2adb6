"""Flushes of a program over several streams: which of them a summary answers, which must be asked for again.

A server that restarts sends a summary that nobody asked for, which may look like the answer to a flush.
"""


class Flushes:
    """The flushes that a program asked for and that its present stream has to answer."""

    def __init__(self) -> None:
        self.asked = 0  # flushes of this stream
        self._received = 0  # summaries of this stream
        self._hidden = 0  # answers still to come to flushes that seemed answered

    def ask(self) -> None:
        """The program asks for a flush."""
        self.asked += 1

    def receive(self) -> bool:
        """Whether the summary that came is the answer that the program waits for."""
        self._received += 1
        if self._received > self.asked:
            return False
        if self._hidden:
            self._hidden -= 1
            return False
        return True

    def interrupt(self, restarted: bool) -> None:
        """The stream broke off; `restarted`: its last message was a summary. The next is asked `asked` times."""
        answered = min(self.asked, self._received - restarted)
        self._hidden += min(self.asked, self._received) - answered
        self.asked -= answered
        self._received = 0
