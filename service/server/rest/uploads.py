"""A request to /v1/classify: its options, and its files from a form or a raw body."""

import asyncio
from dataclasses import dataclass, fields

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from service.settings import Settings
from service.spotting.config import ConfigWarning, ProtocolError
from service.spotting.metadata import DEFAULT_SPEED

MAX_FIELDS = 16  # form fields beside the files: some room for unknown ones, which get warnings
EXPECTED_BODY = "body: expected multipart/form-data with a field files, or a single audio file as audio/*"

File = tuple[str, bytes]  # name and content


@dataclass(frozen=True)
class ClassifyOptions:
    """Query or form fields; their values are checked against the model that classifies."""

    model: str | None = None
    mode: str = "utterance"
    keywords: str | None = None
    speed: str = DEFAULT_SPEED
    threshold: str | None = None
    trace: bool = False


OPTIONS = frozenset(field.name for field in fields(ClassifyOptions))


@dataclass(frozen=True)
class Upload:
    """A request that has arrived completely."""

    options: ClassifyOptions
    warnings: list[ConfigWarning]  # one per unknown option
    files: list[File]


async def receive_upload(request: Request, limits: Settings) -> Upload:
    """The upload in a request. Raises ProtocolError for wrong values, HTTPException when it takes too long."""
    try:
        async with asyncio.timeout(limits.upload_timeout_s):
            if _media_type(request).startswith("audio/"):
                options, warnings = _parse_options(dict(request.query_params))
                return Upload(options, warnings, [await _read_body(request)])
            form = await _receive_form(request, limits)
            options, warnings = _parse_options({**request.query_params, **_text_fields(form)})
            return Upload(options, warnings, await _read_files(form))
    except TimeoutError:
        message = f"expected the whole request within {limits.upload_timeout_s:g} s"
        raise HTTPException(408, message, {"Connection": "close"}) from None
    finally:
        await request.close()


async def _read_body(request: Request) -> File:
    content = await request.body()
    return _file_name(request), content


def _file_name(request: Request) -> str:
    """The name in `Content-Disposition: attachment; filename=...`, else an empty one."""
    _, parameters = parse_options_header(request.headers.get("content-disposition"))
    return parameters.get(b"filename", b"").decode(errors="replace")


async def _receive_form(request: Request, limits: Settings) -> FormData:
    if (media_type := _media_type(request)) != "multipart/form-data":
        raise ProtocolError("bad_value", f"{EXPECTED_BODY}, got {media_type or 'no Content-Type'}")
    return await request.form(max_files=limits.max_files, max_fields=MAX_FIELDS)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _text_fields(form: FormData) -> dict[str, str]:
    return {key: value for key, value in form.multi_items() if isinstance(value, str) and key != "files"}


def _parse_options(values: dict[str, str]) -> tuple[ClassifyOptions, list[ConfigWarning]]:
    """The known options, and a warning for each unknown one. Raises ProtocolError."""
    warnings = [ConfigWarning("unknown_key", key) for key in values if key not in OPTIONS]
    known = {key: value for key, value in values.items() if key in OPTIONS}
    if (trace := known.pop("trace", "false")) not in ("true", "false"):
        raise ProtocolError("bad_value", f"trace: expected true or false, got {trace!r}")
    return ClassifyOptions(**known, trace=trace == "true"), warnings


async def _read_files(form: FormData) -> list[File]:
    """The files of the field `files`. Raises ProtocolError."""
    parts = form.getlist("files")
    files = [part for part in parts if isinstance(part, UploadFile)]
    if not parts:
        others = ", ".join(dict.fromkeys(form.keys()))
        got = f"none, but other fields: {others}" if others else "none"
        raise ProtocolError("bad_value", f"files: expected at least one file, got {got}")
    if len(files) < len(parts):
        raise ProtocolError("bad_value", "files: expected a file name with each, got a part without one")
    return [(file.filename or "", await file.read()) for file in files]
