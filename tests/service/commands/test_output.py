"""service/commands/output.py: each way in which the output of a command ends, in a process with a real pipe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.commands.output import CommandParser, path_text, printable

PRINT = "from service.commands.output import run_command\nimport sys\nsys.exit(run_command('rc-x', {}))"
ENDLESS = PRINT.format("lambda: [print('line ' * 100) for _ in range(10**6)] and 0")


def run(code: str, shell: str = "{}", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Python code in a shell pipeline, its exit status that of the first command in it."""
    pipeline = "set -o pipefail; " + shell.format('"$0" -c "$1"')
    return subprocess.run(
        ["bash", "-c", pipeline, sys.executable, code],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, **environment},
        timeout=60,
    )


def test_a_reader_that_leaves_early_ends_the_command_without_a_traceback() -> None:
    result = run(ENDLESS, "{} | head -1")
    assert (result.returncode, result.stdout, result.stderr) == (141, "line " * 100 + "\n", "")


def test_a_reader_that_left_before_the_last_flush_is_noticed() -> None:
    result = run(PRINT.format("lambda: (__import__('time').sleep(0.5), print('late'), 0)[-1]"), "{} | true")
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    result = run(PRINT.format("lambda: print('text') or 0"), "{} > /dev/full")
    assert result.returncode == 1
    assert result.stderr == "rc-x: expected to write the output, got: No space left on device\n"


def test_closed_output_is_not_an_error() -> None:
    for redirected in ("{} >&-", "{} 2>&-"):
        result = run(PRINT.format("lambda: print('text') or sys.stdout.isatty() or sys.stderr.isatty()"), redirected)
        assert (result.returncode, result.stderr) == (0, "")


def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    result = run(PRINT.format("lambda: print('caf\\xe9 \\u2192') or 0"), PYTHONIOENCODING="cp1252")
    assert (result.returncode, result.stdout) == (0, "caf\udce9 \\u2192\n")


def test_an_interrupted_command_ends_with_130() -> None:
    assert run(PRINT.format("lambda: __import__('signal').raise_signal(2)")).returncode == 130


def test_other_errors_keep_their_traceback() -> None:
    result = run(PRINT.format("lambda: open('/none/there')"))
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")


def test_what_a_terminal_may_obey_is_escaped_and_other_text_stays() -> None:
    assert printable("a\x1b[31mb\r\n\x07\x7f\x9b2J\u202egpj") == "a\\x1b[31mb\\r\\n\\x07\\x7f\\x9b2J\\u202egpj"
    assert printable("grün 日本語 😀 a b") == "grün 日本語 😀 a b"


def test_a_path_is_text_whatever_its_bytes_are() -> None:
    assert path_text(Path(os.fsdecode(b"caf\xe9/\xc3\xa9.wav"))) == "caf\ufffd/é.wav"


def test_arguments_in_errors_of_the_command_line_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        CommandParser(prog="rc-x").parse_args(["--\x1b[2J.wav"])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err.endswith("rc-x: error: unrecognized arguments: --\\x1b[2J.wav\n")
