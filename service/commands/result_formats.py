"""The results of files as lines: JSON for programs, CSV for spreadsheets, a table for people.

Names come from the disk, so what a terminal or a spreadsheet would obey is made text.
"""

import csv
import json
from collections.abc import Callable, Sequence
from typing import TextIO

from service.commands.output import printable
from service.spotting.file_result import FileResult

COLUMNS = ("file", "label", "score", "crossed", "frame", "decision_time_s", "duration_s", "error")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula

Writer = Callable[[FileResult], None]


def json_writer(to: TextIO) -> Writer:
    """A result as POST /v1/classify answers it, one per line."""
    return lambda result: print(json.dumps(result.to_json()), file=to)


def csv_writer(to: TextIO) -> Writer:
    """Rows under COLUMNS."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(COLUMNS)
    return lambda result: writer.writerow(cells(result))


def table_writer(to: TextIO, names: Sequence[str]) -> Writer:
    """Lines for people, as wide as the longest name; a `?` marks a label that crossed no threshold."""
    width = max(len(printable(name)) for name in names)
    print(f"{'file':<{width}}  label        score  decided  length", file=to)
    return lambda result: print(f"{printable(result.file):<{width}}  {summary(result)}", file=to)


def cells(result: FileResult) -> list[object]:
    """The row of a result, under COLUMNS."""
    fields = result.to_json()
    error = result.error.message if result.error else ""
    return [as_text(cell) for cell in (*(fields.get(column, "") for column in COLUMNS[:-1]), error)]


def as_text(cell: object) -> object:
    """A cell whose text a spreadsheet does not calculate and a terminal does not obey."""
    if not isinstance(cell, str):
        return cell
    return ("'" if cell.startswith(FORMULA_STARTS) else "") + printable(cell)


def summary(result: FileResult) -> str:
    """`yes           0.97   0.62 s  1.00 s`."""
    if result.error:
        return f"error: {printable(result.error.message)}"
    if result.answer is None:
        raise ValueError(f"{result.file}: expected an answer, as in mode utterance")
    label = result.answer.label + ("" if result.answer.crossed else "?")
    return f"{label:<12} {result.answer.score:5.2f}  {result.answer.audio_time_s:5.2f} s  {result.duration_s:4.2f} s"
