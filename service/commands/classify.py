"""rc-classify: sound files on this machine to labels, without a server and in any number.

Files are decoded and scored in groups, one thread per core, so that some are decoded while the model runs for others; a
few groups are all that is ever in memory. Results come in the order of the files; a bad file gets an error and stops
none.
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TextIO

from service.bundled import bundled_model
from service.commands.archive import Archive, ArchiveError, Job
from service.commands.file_groups import groups
from service.commands.output import CommandParser, path_text, printable, run_command
from service.commands.result_formats import csv_writer, json_writer, table_writer
from service.commands.sound_folders import find_files
from service.spotting.classify import BATCH, classify, classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.file_result import FileResult
from service.spotting.files import SUFFIXES
from service.spotting.metadata import DEFAULT_SPEED, ModelError
from service.spotting.model import Model

CORES = os.cpu_count() or 1
BAR = 30  # characters


def classify_files(
    model: Model, files: Iterable[Path], threshold: str | None = None, *, speed: str = DEFAULT_SPEED
) -> Iterator[FileResult]:
    """The results of `classify_encoded`, file after file. Raises ProtocolError for a wrong setting."""
    work = partial(classify_encoded, model, threshold=threshold, speed=speed)
    with ThreadPoolExecutor(CORES, "classify") as pool:
        running: deque[Future[list[FileResult]]] = deque()
        for group in groups(files):
            running.append(pool.submit(work, [(path_text(file), file) for file in group]))
            if len(running) > CORES:
                yield from running.popleft().result()
        for rest in running:
            yield from rest.result()


class Progress:
    """A bar on a terminal: files done, files per second. Nothing where the output is not a terminal."""

    def __init__(self, total: int, to: TextIO) -> None:
        self._total, self._to, self._shown = total, to, to.isatty()
        self._done, self._began = 0, monotonic()

    def step(self, files: int = 1) -> None:
        """This number of files more is done."""
        batches = self._done // BATCH
        self._done += files
        if self._shown and (self._done // BATCH > batches or self._done == self._total):
            rate = self._done / max(1e-9, monotonic() - self._began)
            bar = "#" * (BAR * self._done // self._total)
            self._to.write(f"\r[{bar:<{BAR}}] {self._done}/{self._total} files, {rate:.0f} per second")
            self._to.flush()

    def clear(self) -> None:
        """Make the line free for others."""
        if self._shown:
            self._to.write("\r\x1b[K")


def run(args: argparse.Namespace) -> int:
    """Classify and print; 1 when any file was bad. Raises ModelError, ProtocolError and FileNotFoundError."""
    model = Model(args.model)
    classify(model, [], args.threshold, speed=args.speed)  # a wrong setting is an error before any work
    files = list(find_files(args.paths))
    if not files:
        raise FileNotFoundError(f"expected sound files ({', '.join(sorted(SUFFIXES))}), got none")
    if args.json:
        write = json_writer(sys.stdout)
    elif args.csv:
        write = csv_writer(sys.stdout)
    else:
        write = table_writer(sys.stdout, [path_text(file) for file in files])
    progress, failed = Progress(len(files), sys.stderr), False
    for result in classify_files(model, files, args.threshold, speed=args.speed):
        if sys.stdout.isatty():
            progress.clear()
        write(result)
        failed |= result.error is not None
        progress.step()
    progress.clear()
    return int(failed)


def run_on_ray(args: argparse.Namespace) -> int:
    """The same as Parquet in a folder, by a Ray cluster. Raises ArchiveError too."""
    from service.commands import ray_classify, ray_cluster  # come with an extra, and take their time to import

    model = Model(args.model)
    classify(model, [], args.threshold, speed=args.speed)
    archive = Archive(Path(os.path.abspath(args.out)))
    paths = tuple(os.path.abspath(path) for path in args.paths)
    job = Job(paths, model.sha256, args.speed, args.threshold)
    archive.open(job)
    if remaining := archive.remaining():
        try:
            with ray_cluster.cluster(args.ray):
                progress = Progress(sum(len(archive.files(name)) for name in remaining), sys.stderr)
                ray_classify.classify_partitions(archive, remaining, job, args.model, progress.step)
                progress.clear()
        except ray_cluster.ClusterError as error:
            raise ArchiveError(str(error)) from error
    failed = ray_classify.count_failed(archive)
    print(f"{archive.folder / 'results'}: {failed} bad files", file=sys.stderr)
    return int(failed > 0)


def run_or_explain(args: argparse.Namespace) -> int:
    """The same, and 2 with one line where nothing can be done."""
    try:
        return run_on_ray(args) if args.ray else run(args)
    except (ModelError, ProtocolError, FileNotFoundError, ArchiveError) as error:
        print(f"rc-classify: {printable(str(error))}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(prog="rc-classify", description="Classify sound files in this process.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="DIR|FILE", help="directories are searched recursively")
    parser.add_argument("--model", type=Path, default=bundled_model(), metavar="models/NAME", help="(%(default)s)")
    parser.add_argument("--speed", default=DEFAULT_SPEED, help="a speed of the model (default: %(default)s)")
    parser.add_argument("--threshold", help="a number, or a JSON object of numbers per label; overrides --speed")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object per line")
    output.add_argument("--csv", action="store_true", help="CSV with a header; text that looks like a formula gets a '")
    output.add_argument("--out", type=Path, metavar="DIR", help="Parquet in there, with --ray; rerun it to resume")
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="classify on a Ray cluster, HOST:PORT or `local`; a path that ends in .txt is then a list of files",
    )
    args = parser.parse_args(argv)
    if (args.ray is None) != (args.out is None):
        parser.error("expected --ray ADDRESS and --out DIR together, got one of them")
    if args.ray and not find_spec("ray"):
        parser.error("--ray expects the package ray, got none: pip install '.[ray]'")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Exit status 0; 1 when any file was bad; 2 when nothing could be done; 130 when interrupted; 141 when the reader of
    its output left.
    """
    args = parse(argv)
    return run_command("rc-classify", lambda: run_or_explain(args))


if __name__ == "__main__":
    sys.exit(main())
