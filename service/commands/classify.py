"""rc-classify: sound files on this machine to labels, without a server and in any number.

Files go through classify.py in groups, a thread each, so that some are decoded while the model runs for others; a few
groups are all that is ever in memory. Results come in the order of the files; a bad file gets an error and stops none.
"""

import argparse
import csv
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from service.bundled import bundled_model
from service.spotting.classify import BATCH, Result, classify, classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.metadata import DEFAULT_SPEED, ModelError
from service.spotting.model import Model

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"}  # what is taken from a directory
GROUP_BYTES = 16 * 2**20  # on the disk, of files decoded together; one that is larger goes alone
CORES = os.cpu_count() or 1
COLUMNS = ("file", "label", "score", "crossed", "frame", "decision_time_s", "duration_s", "error")
BAR = 30  # characters

Show = Callable[[Result], None]


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given, and all sound files in and below directories, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        else:
            yield path


def classify_archive(
    model: Model, files: Iterable[Path], threshold: str | None = None, *, speed: str = DEFAULT_SPEED
) -> Iterator[Result]:
    """The results of `classify_encoded`, file after file. Raises ProtocolError for a wrong setting."""
    work = partial(classify_encoded, model, threshold=threshold, speed=speed)
    with ThreadPoolExecutor(CORES, "classify") as pool:
        running: deque[Future[list[Result]]] = deque()
        for group in groups(files):
            running.append(pool.submit(work, [(name_of(file), file) for file in group]))
            if len(running) > CORES:
                yield from running.popleft().result()
        for rest in running:
            yield from rest.result()


def name_of(file: Path) -> str:
    """Its path as text, also where the bytes of a name are none."""
    return os.fsencode(file).decode(errors="replace")


def groups(files: Iterable[Path]) -> Iterator[list[Path]]:
    """The files, in order, BATCH of them or GROUP_BYTES at a time."""
    group: list[Path] = []
    size = 0
    for file in files:
        more = file.stat().st_size if file.is_file() else 0
        if group and (len(group) == BATCH or size + more > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += more
    if group:
        yield group


class Progress:
    """A bar on a terminal: files done, how many a second. Nothing where the output is no terminal."""

    def __init__(self, total: int, to: TextIO) -> None:
        self._total, self._to, self._shown = total, to, to.isatty()
        self._done, self._began = 0, monotonic()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._shown and (self._done % BATCH == 0 or self._done == self._total):
            rate = self._done / max(1e-9, monotonic() - self._began)
            bar = "#" * (BAR * self._done // self._total)
            self._to.write(f"\r[{bar:<{BAR}}] {self._done}/{self._total} files, {rate:.0f} a second")
            self._to.flush()

    def clear(self) -> None:
        """Make the line free for others."""
        if self._shown:
            self._to.write("\r\x1b[K")


def show_json(result: Result) -> None:
    """A result as POST /v1/classify has it, one a line."""
    print(json.dumps(result))


def show_csv() -> Show:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    return lambda result: writer.writerow(cells(result))


def show_table(width: int) -> Show:
    """Lines for people; a `?` marks a label that crossed nothing."""
    print(f"{'file':<{width}}  label        score   heard      of")
    return lambda result: print(f"{result['file']:<{width}}  {line(result)}")


def cells(result: Result) -> list[Any]:
    """The row of a result, under COLUMNS."""
    if "error" in result:
        return [result["file"], *[""] * (len(COLUMNS) - 2), result["error"]["message"]]
    return [result[name] for name in COLUMNS[:-1]] + [""]


def line(result: Result) -> str:
    """`yes          0.97  0.62 s  1.00 s`."""
    if "error" in result:
        return f"error: {result['error']['message']}"
    label = result["label"] + ("" if result["crossed"] else "?")
    return f"{label:<12} {result['score']:5.2f}  {result['decision_time_s']:4.2f} s  {result['duration_s']:4.2f} s"


def run(given: argparse.Namespace) -> int:
    """Classify and print; 1 when any file was bad. Raises BadModel and ProtocolError."""
    model = Model(given.model)
    classify(model, [], given.threshold, speed=given.speed)  # a wrong setting is told before any work
    files = list(files_of(given.paths))
    if not files:
        raise FileNotFoundError(f"expected sound files ({', '.join(sorted(SUFFIXES))}), got none")
    width = max(len(name_of(file)) for file in files)
    show = show_json if given.json else show_csv() if given.csv else show_table(width)
    progress, failed = Progress(len(files), sys.stderr), False
    for result in classify_archive(model, files, given.threshold, speed=given.speed):
        if sys.stdout.isatty():
            progress.clear()
        show(result)
        failed |= "error" in result
        progress.step()
    progress.clear()
    return int(failed)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rc-classify", description="Classify sound files in this process.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="DIR|FILE", help="directories are searched to their end")
    parser.add_argument("--model", type=Path, default=bundled_model(), metavar="models/NAME", help="(%(default)s)")
    parser.add_argument("--speed", default=DEFAULT_SPEED, help="a speed of the model (default: %(default)s)")
    parser.add_argument("--threshold", help="a number, or a JSON object of numbers per label; overrides --speed")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object a line")
    shape.add_argument("--csv", action="store_true", help="CSV with a header")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0, 1 when any file was bad, 2 when nothing could be done, 130 when interrupted."""
    try:
        return run(parse(argv))
    except (ModelError, ProtocolError, FileNotFoundError) as error:
        print(f"rc-classify: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
