"""Tables of figures, and the sections of a page that a command writes: each between two marks."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def markdown_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; `-` stands for what was not measured."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join('-' if cell is None else str(cell) for cell in line)} |" for line in lines)


def write_sections(file: Path, sections: Mapping[str, str]) -> list[str]:
    """Put texts between their marks; returns the names of those that the file has. SystemExit where it has none."""
    text = file.read_text()
    written = [name for name in sections if marks(name)[0] in text]
    if not written:
        expected = " or ".join(marks(name)[0] for name in sections)
        sys.exit(f"{file}: expected {expected} to write behind, got no such line")
    for name in written:
        begin, end = marks(name)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{sections[name]}\n{end}{rest.partition(end)[2]}"
    file.write_text(text)
    return written


def marks(name: str) -> tuple[str, str]:
    """What stands before and behind a section."""
    return f"<!-- {name} -->", f"<!-- /{name} -->"
