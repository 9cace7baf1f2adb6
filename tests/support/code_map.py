"""The code map of docs/architecture.md: every module with the first sentence of its docstring.

`python -m tests.support.code_map` writes it again.
"""

import ast
import re
from pathlib import Path

from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "architecture.md"
MARKS = "<!-- code map -->", "<!-- /code map -->"
PACKAGES = ("service", "clients", "training")


def code_map() -> str:
    """One table per package, in the order of folders and names."""
    return "\n\n".join(table(package) for package in PACKAGES)


def table(package: str) -> str:
    """The modules of one package."""
    modules = [path for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    rows = [f"| `{path.relative_to(ROOT)}` | {summary(path)} |" for path in sorted(modules)]
    return "\n".join([f"| {package}/ | |", "| --- | --- |", *rows])


def summary(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = re.split(r"(?<=\.)\s|\n\n", text.strip())[0]
    return " ".join(sentence.split()).removesuffix(".").replace("|", "\\|")


def main() -> None:
    """Write the map between its marks."""
    before, after = PAGE.read_text().split(MARKS[0])[0], PAGE.read_text().split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n{code_map()}\n{MARKS[1]}{after}")


if __name__ == "__main__":
    main()
