"""Every setting of the server, named, with its default; an environment variable RC_NAME or a flag of rc-serve sets it.

The descriptions are what `rc-serve --help` says. Limits are for each worker.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RC_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Port = Field(default=8000, description="port to listen on, 0 for any free one")
    wyoming: Annotated[str, Field(pattern=r"^tcp://[^/]+:\d{1,5}$")] | None = Field(
        default=None, description="serve Home Assistant too, there: tcp://HOST:PORT"
    )
    workers: Count = Field(
        default=1, description="processes behind the port, one a core; the limits below are for each"
    )
    models_dir: Path = Field(default=Path("models"), description="every NAME/model.onnx in it is served")
    default_model: str | None = Field(default=None, description="the model of clients that name none")
    log: Literal["text", "json"] = Field(default="text", description="text, or json: one object a line")

    api_keys: SecretStr = Field(
        default=SecretStr(""), description="API keys, separated by commas; without any all may come"
    )
    api_keys_file: FilePath | None = Field(default=None, description="more API keys, one a line; read again on SIGHUP")
    allowed_origins: str = Field(
        default="", description="web pages that may use this server besides its own, separated by commas; * for any"
    )
    tls_cert: FilePath | None = Field(default=None, description="certificate chain, PEM: serve https and wss")
    tls_key: FilePath | None = Field(default=None, description="its private key, where the chain has none")
    max_requests_per_s: Seconds = Field(
        default=100.0,
        description="HTTP requests of one key or address, a second's worth of them at once; the next get 429",
    )

    max_connections: Count = Field(default=1000, description="streams open at once; the next gets 503")
    retry_after_s: Count = Field(default=5, description="what its Retry-After says")
    handshake_timeout_s: Seconds = Field(default=10.0, description="for the head of a request to come")
    max_message_bytes: Count = Field(default=65536, description="one WebSocket message")
    max_backlog_s: Seconds = Field(
        default=2.0, description="audio received and not decided on; also how long any may wait for that"
    )
    # one run of the engine makes up to 16
    max_outgoing: Count = Field(default=1024, description="messages waiting for a client that does not read")
    idle_timeout_s: Seconds = Field(default=30.0, description="without any message from the client")
    max_stream_s: Seconds | None = Field(default=None, description="a stream in all; none: for ever")
    close_timeout_s: Seconds = Field(default=2.0, description="for a client to take its last messages")
    drain_timeout_s: Count = Field(default=10, description="for all streams to end on shutdown")

    max_uploads: Count = Field(default=8, description="/v1/classify requests at once; the next gets 503")
    max_upload_bytes: Count = Field(default=64 * 2**20, description="one of them")
    upload_timeout_s: Seconds = Field(default=60.0, description="for one of them to come in")
    max_files: Count = Field(default=1000, description="files in it")
    max_file_s: Seconds = Field(default=60.0, description="audio in one file")
    max_request_audio_s: Seconds = Field(
        default=1800.0, description="audio in all files of a request; the rest get errors"
    )
    classify_timeout_s: Seconds = Field(
        default=60.0, description="work on a request; files not begun by then get errors"
    )

    capture_dir: Path | None = Field(
        default=None, description="keep the audio of detections and near misses here, as WAV and JSON; none: keep none"
    )
    max_capture_bytes: Count = Field(default=2**30, description="in that directory; when it is full no more is kept")

    @model_validator(mode="after")
    def _one_process_listens_for_wyoming(self) -> Self:
        if self.wyoming and self.workers > 1:
            raise ValueError(f"wyoming: expected 1 worker, which alone can listen there, got {self.workers}")
        return self

    @model_validator(mode="after")
    def _certificate(self) -> Self:
        if self.tls_key and not self.tls_cert:
            raise ValueError("tls_cert: expected a certificate for tls_key, got none")
        return self
