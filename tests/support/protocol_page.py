"""docs/protocol.md: its examples. `python -m tests.support.protocol_page` writes those of the bundled model."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from clients.connection import encode
from clients.decisions import DECISIONS
from clients.demo.__main__ import MODEL, MODELS, RECORDING
from service.spotting.audio import SAMPLE_RATE
from service.spotting.files import read_audio
from tests.support.paths import ROOT
from tests.support.server import serving
from tests.support.ws_client import stream

PAGE = ROOT / "docs" / "protocol.md"
SETTINGS = {"scores_every_ms": 1000, "treshold": 1}  # as the page says
EARLY_S = 2.55  # of the recording, as the page says: the second word is open at its end
OVERLOADED = {
    "type": "error",
    "code": "overloaded",
    "message": "expected to decide on audio within 2 s, it took longer",
    "fatal": True,
}
WIDTH = 120  # characters of a line


def blocks(language: str) -> list[str]:
    """Every block of code on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def messages(block: str) -> list[dict[str, Any]]:
    """JSON objects, one after another."""
    values, decoder, text = [], json.JSONDecoder(), block.strip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].strip()
    return values


def first_of_each_type() -> list[dict[str, Any]]:
    """What the server says of the demo's recording, the first message of each type; an error, which it has none of."""
    audio = encode(read_audio(RECORDING), "pcm_s16le")
    with serving(MODELS, MODEL) as running:
        received = asyncio.run(stream(running.ws(**SETTINGS), audio)).received
    kinds: dict[str, dict[str, Any]] = {}
    for message in received:
        kinds.setdefault(message["type"], message)
    return [*kinds.values(), OVERLOADED]


def early_decisions() -> list[dict[str, Any]]:
    """What the server says of the beginning of the recording with early detections: the messages about words."""
    audio = encode(read_audio(RECORDING)[: round(EARLY_S * SAMPLE_RATE)], "pcm_s16le")
    with serving(MODELS, MODEL) as running:
        received = asyncio.run(stream(running.ws(early="true"), audio)).received
    return [message for message in received if message["type"] in DECISIONS]


def example(received: list[dict[str, Any]]) -> str:
    """The block of the page for these messages."""
    return "\n".join(_wrapped(json.dumps(message, separators=(",", ":"))) for message in received)


def _wrapped(text: str) -> str:
    """Cut after commas into lines of WIDTH; all but the first are indented."""
    lines, line = [], ""
    for piece in re.findall(r'[^,"]*(?:"[^"]*"[^,"]*)*,?', text):
        if len(line) + len(piece) > WIDTH:
            lines.append(line)
            line = " "
        line += piece
    return "\n".join([*lines, line])


def main(page: Path = PAGE) -> None:
    text = page.read_text()
    for mark, received in (('"type":"ready"', first_of_each_type()), ('"status":"early"', early_decisions())):
        before = next(block for block in blocks("json") if mark in block)
        text = text.replace(before, example(received) + "\n")
    page.write_text(text)


if __name__ == "__main__":
    main()
