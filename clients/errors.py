"""What goes wrong between a client and a server, and whether another try may succeed."""

from websockets.exceptions import ConnectionClosed

# Errors and close codes after which the same stream would be refused again; RFC 6455, 7.4.1.
FINAL_CODES = frozenset({"bad_value", "bad_message", "unknown_model"})
WRONG_DATA, INVALID_TEXT, POLICY, TOO_BIG = 1003, 1007, 1008, 1009
FINAL_CLOSE_CODES = frozenset({WRONG_DATA, INVALID_TEXT, POLICY, TOO_BIG})


class StreamError(Exception):
    """A stream could not be opened or broke off.

    Attributes:
        code: what went wrong, for programs.
        message: the same for people: what was expected and what came.
        retryable: whether the same request may succeed later without a change of settings.
        retry_after_s: seconds that the server asks to wait before the next try, None where it says nothing.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.retryable, self.retry_after_s = retryable, retry_after_s


class ServerUnreachableError(StreamError):
    """No server answers at that address."""

    def __init__(self, message: str, *, retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__("unreachable", message, retryable=retryable, retry_after_s=retry_after_s)


class ServerError(StreamError):
    """The server refused the stream or gave it up: the code of its `error` message, or `http_` and the status."""

    def __init__(
        self, code: str, message: str, *, retryable: bool | None = None, retry_after_s: float | None = None
    ) -> None:
        """`retryable`: by the code where it is None."""
        if retryable is None:
            retryable = code not in FINAL_CODES
        super().__init__(code, message, retryable=retryable, retry_after_s=retry_after_s)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ConnectionLostError(ServerError):
    """The connection closed without an `error` message, or before it was asked to."""

    def __init__(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else None
        message = f"expected the stream to stay open, got: {closed}"
        super().__init__("connection_lost", message, retryable=code not in FINAL_CLOSE_CODES)
