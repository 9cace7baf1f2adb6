"""Every setting of the server, named, with its default; an environment variable RC_NAME or a flag of rc-serve sets it.

The descriptions are the help texts of `rc-serve --help`. Limits are for each worker.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.bundled import models_directory

API_KEY = re.compile(r"[A-Za-z0-9._~-]{16,}")  # fits into a URL and a sub-protocol, and cannot be guessed
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
DEFAULT_PORTS = {("http", "80"), ("https", "443")}  # browsers leave them out
MAX_PORT = 65535


def parse_api_keys(values: Iterable[str]) -> frozenset[SecretStr]:
    """The keys among `values`, without empty ones. Raises ValueError, which names no key."""
    keys = [value.strip() for value in values if value.strip()]
    for number, key in enumerate(keys, 1):
        if not API_KEY.fullmatch(key):
            raise ValueError(f"expected 16 or more characters of A-Z a-z 0-9 . _ ~ - per key, key {number} is invalid")
    return frozenset(map(SecretStr, keys))


def _split_api_keys(value: Any) -> Any:
    return parse_api_keys(value.split(",")) if isinstance(value, str) else value


def _split_origins(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return frozenset(_check_origin(origin.strip()) for origin in value.split(",") if origin.strip())


def _check_origin(origin: str) -> str:
    """The origin as browsers send it. Raises ValueError."""
    if origin in ("*", "null"):
        return origin
    match = ORIGIN.fullmatch(origin.lower())
    if not match or (match["scheme"], match["port"]) in DEFAULT_PORTS:
        raise ValueError(
            f"expected origins as browsers send them, like https://example.org or http://10.0.0.5:8080 "
            f"(no path, no slash at the end, no default port), or *, got {origin!r}"
        )
    return match[0]


def _check_wyoming(uri: str) -> str:
    """Raises ValueError."""
    parts = re.fullmatch(r"tcp://[^/]+:(\d{1,5})", uri)
    if not parts or int(parts[1]) > MAX_PORT:
        raise ValueError(f"expected tcp://HOST:PORT with a port up to {MAX_PORT}, got {uri!r}")
    return uri


def _check_root_path(path: str) -> str:
    """Raises ValueError."""
    if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError(f"expected a path like /kws, without a slash at the end, got {path!r}")
    return path


Port = Annotated[int, Field(ge=0, le=MAX_PORT)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
ApiKeySet = Annotated[frozenset[SecretStr], NoDecode, BeforeValidator(_split_api_keys)]
OriginSet = Annotated[frozenset[str], NoDecode, BeforeValidator(_split_origins)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RC_", frozen=True, hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8000, description="port to listen on, 0 for any free one")
    root_path: Annotated[str, AfterValidator(_check_root_path)] = Field(
        default="", description="path under which a proxy serves this server, such as /kws"
    )
    wyoming: Annotated[str, AfterValidator(_check_wyoming)] | None = Field(
        default=None, description="serve Home Assistant as well, there: tcp://HOST:PORT"
    )
    workers: Count = Field(
        default=1, description="processes behind the port, one per core; the limits below are for each"
    )
    models_dir: Path = Field(
        default_factory=models_directory,
        description="every NAME/model.onnx in it is served; by default ./models, or the bundled model without one",
    )
    default_model: str | None = Field(default=None, description="the model of clients that name none")
    log: Literal["text", "json"] = Field(default="text", description="text, or json: one object per line")

    api_keys: ApiKeySet = Field(
        default=frozenset(), description="API keys, separated by commas; if unset, no authentication"
    )
    api_keys_file: FilePath | None = Field(
        default=None, description="more API keys, one per line; read again on SIGHUP"
    )
    allowed_origins: OriginSet = Field(
        default=frozenset(),
        description="origins of web pages that may use this server besides its own, such as https://example.org, "
        "separated by commas; * for any",
    )
    tls_cert: FilePath | None = Field(
        default=None, description="certificate chain, PEM: serve https and wss; read again on SIGHUP"
    )
    tls_key: FilePath | None = Field(default=None, description="its private key, where the chain has none")
    max_requests_per_s: Seconds = Field(
        default=100.0,
        description="HTTP requests per key or address, in bursts of up to one second; further ones get 429",
    )

    skip_silence: bool = Field(
        default=True, description="take silence, by a model's own rule, for _silence_ without running the model"
    )
    max_streams: Count = Field(default=1000, description="streams open at once; further ones get 503")
    retry_after_s: Count = Field(default=5, description="the Retry-After of a 503")
    handshake_timeout_s: Seconds = Field(default=10.0, description="for the head of a request to arrive")
    max_message_bytes: Count = Field(default=65536, description="bytes in one WebSocket message")
    chunk_ms: Annotated[float, Field(ge=10, le=1000)] = Field(
        default=40.0, description="audio per message that clients are asked for: longer costs less and waits longer"
    )
    max_backlog_s: Seconds = Field(default=2.0, description="unprocessed audio; also how long any of it may wait")
    # one run of the engine makes up to 16
    max_outgoing: Count = Field(default=1024, description="messages waiting for a client that does not read")
    idle_timeout_s: Seconds = Field(default=30.0, description="without any message from the client")
    max_stream_s: Seconds | None = Field(
        default=None,
        description="for a stream to be open; its client then opens another, at a server with room; unlimited if unset",
    )
    close_timeout_s: Seconds = Field(default=2.0, description="to flush the last messages to a client")
    drain_timeout_s: Count = Field(default=10, description="for all streams to end on shutdown")

    max_uploads: Count = Field(default=8, description="/v1/classify requests at once; further ones get 503")
    max_upload_bytes: Count = Field(default=64 * 2**20, description="bytes in one of them")
    upload_timeout_s: Seconds = Field(default=60.0, description="for one of them to arrive")
    max_files: Count = Field(default=1000, description="files in it")
    max_file_s: Seconds = Field(default=60.0, description="audio in one file")
    max_request_audio_s: Seconds = Field(
        default=1800.0, description="audio in all files of a request; the rest get errors"
    )
    classify_timeout_s: Seconds = Field(
        default=60.0, description="work on a request; files not started by then get errors"
    )

    capture_dir: Path | None = Field(
        default=None, description="keep the audio of detections and near misses here, as WAV and JSON; off if unset"
    )
    max_capture_bytes: Count = Field(default=2**30, description="bytes in that directory; when full, no more is kept")

    @model_validator(mode="after")
    def _wyoming_can_listen(self) -> Self:
        if self.wyoming and self.workers > 1:
            raise ValueError(f"wyoming: expected 1 worker, as only one can listen there, got {self.workers}")
        if self.wyoming and self.port and self.wyoming.endswith(f":{self.port}"):
            raise ValueError(
                f"wyoming: expected another port than {self.port}, which is for HTTP, got {self.wyoming!r}"
            )
        return self

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Self:
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_cert: expected a certificate for tls_key, got none")
        return self


SECRET = {"api_keys"}  # settings whose value no message shows and no flag takes: everyone sees a command's flags


def explain(error: ValidationError) -> str:
    """One line for wrong settings: each with what was expected and what came."""
    return "; ".join(map(_explain_one, error.errors(include_url=False)))


def _explain_one(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"][:1])
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    message = message.replace("Path does not point to a file", "expected a file")
    own = error["type"] == "value_error"  # raised above, with what came
    got = "" if own or name in SECRET else f", got {str(error['input'])!r}"
    return f"{name}: {message}{got}" if name else message + got
