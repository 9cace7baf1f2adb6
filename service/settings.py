"""Every limit of the server, named, with its default; an environment variable RC_NAME or a flag of rc-serve sets it."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RC_", frozen=True)

    host: str = "127.0.0.1"
    port: Port = 8000  # 0: any free one
    wyoming: Annotated[str, Field(pattern=r"^tcp://[^/]+:\d{1,5}$")] | None = None  # tcp://HOST:PORT for Home Assistant
    workers: Count = 1  # processes behind the port; the limits below are for each
    models_dir: Path = Path("models")  # every NAME/model.onnx in it is served
    default_model: str | None = None  # for a client that names none; None: the bundled one, or the only one

    max_connections: Count = 1000  # streams open at once; the next gets 503
    retry_after_s: Count = 1  # what its Retry-After says
    max_message_bytes: Count = 65536  # one WebSocket message
    max_backlog_s: Seconds = 2.0  # audio received and not decided on; also how long any may wait for that
    max_outgoing: Count = 1024  # messages waiting for a client that does not read; one run of the engine makes up to 16
    idle_timeout_s: Seconds = 30.0  # without any message from the client
    close_timeout_s: Seconds = 2.0  # for a client to take its last messages
    drain_timeout_s: Count = 10  # for all streams to end on shutdown

    max_uploads: Count = 8  # /v1/classify requests at once; the next gets 503
    max_upload_bytes: Count = 64 * 2**20  # one of them
    max_files: Count = 1000  # in it
    max_file_s: Seconds = 60.0  # audio in one of them

    @model_validator(mode="after")
    def _one_process_listens_for_wyoming(self) -> Self:
        if self.wyoming and self.workers > 1:
            raise ValueError(f"wyoming: expected 1 worker, which alone can listen there, got {self.workers}")
        return self
