"""What a command writes to a terminal or a pipe: printable text in any encoding, to a reader that may leave early."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

INTERRUPTED = 130  # exit status after Ctrl-C, as of a program that SIGINT ended
PIPE_CLOSED = 141  # as of a program that SIGPIPE ended: the reader of the output has left
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def run_command(name: str, run: Callable[[], int]) -> int:
    """Run a command; its exit status, also where it was interrupted or its output can no longer be written."""
    sys.stdout = sys.stdout or _nowhere()  # None where the caller closed it
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _discard_output()
        print(f"{name}: expected to write the output, got: {error.strerror}", file=sys.stderr)
        return 1
    return status


class CommandParser(argparse.ArgumentParser):
    """A parser of a command line whose errors repeat arguments escaped: a file name may look like an option."""

    def error(self, message: str) -> NoReturn:
        """End the program with the usage, the message and status 2."""
        super().error(printable(message))


def printable(text: str) -> str:
    """The text with an escape such as `\\x1b` for each character that a terminal may obey instead of showing."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def path_text(path: Path) -> str:
    """A path as valid text: bytes of a name that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _nowhere() -> io.TextIOWrapper:
    return open(os.devnull, "w", encoding="utf-8")  # until the end of the program


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that the end of the program does not fail on it again."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
