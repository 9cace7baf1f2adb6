"""Downloads against a server on the loopback that can break off, stall, lie and ignore Range."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training.data.download import (
    MNIST_SHA256,
    SPEECH_COMMANDS_SHA256,
    VOICES_SHA256,
    DownloadError,
    fetch,
    fetch_mnist,
    fetch_speech_commands,
    fetch_voices,
)

BODY = bytes(range(256)) * 4096  # 1 MiB, several blocks
CUT = 300_001  # bytes after which a faulty answer ends


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Site(ThreadingHTTPServer):
    """Serves `files`; each request takes the next of `faults`, and its Range header (or None) is kept in `ranges`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/file": BODY}
        self.faults: list[str] = []
        self.ranges: list[str | None] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        fault = self.server.faults.pop(0) if self.server.faults else ""
        asked = self.headers["Range"]
        partial = asked is not None and fault != "no range"
        self.server.ranges.append(asked)
        if fault.isdigit() or self.path not in self.server.files:
            self.send_error(int(fault or 404))
            return
        body = self.server.files[self.path]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if partial else 0
        if start >= len(body):
            self.send_error(416)
            return
        if fault == "corrupt":
            body = body[:-1] + b"\0"
        self.head(start, len(body), fault, partial)
        self.wfile.write(body[start : start + CUT] if fault in ("break", "stall", "break unsized") else body[start:])
        if fault == "stall":
            self.server.closing.wait(10)

    def head(self, start: int, size: int, fault: str, partial: bool) -> None:
        self.send_response(206 if partial else 200)
        if partial:
            shift = 1 if fault == "wrong range" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{size - 1}/{size}")
        if fault != "break unsized":
            self.send_header("Content-Length", str(size - start))
        self.end_headers()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def get(site: Site, path: Path, tries: int = 3, timeout: float = 5.0) -> Path:
    return fetch(site.url + "/file", path, sha256(BODY), tries=tries, timeout=timeout, backoff=0.0)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def test_a_whole_file_arrives_and_reports_its_progress(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = tmp_path / "new" / "file"
    result = fetch(site.url + "/file", path, sha256(BODY), lambda have, total: seen.append((have, total)))
    assert result == path
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]
    assert site.ranges == [None]
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))
    assert {total for _, total in seen} == {len(BODY)}


@pytest.mark.parametrize("fault", ["break", "stall"])
def test_a_broken_connection_is_resumed_where_it_broke(site: Site, tmp_path: Path, fault: str) -> None:
    site.faults = [fault, fault]
    path = get(site, tmp_path / "file", timeout=0.3)
    assert path.read_bytes() == BODY
    assert site.ranges == [None, f"bytes={CUT}-", f"bytes={2 * CUT}-"]


def test_a_silent_server_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    site.faults = ["stall"]
    with pytest.raises(DownloadError, match=r"timed out \(try 1 of 1\)"):
        get(site, tmp_path / "file", tries=1, timeout=0.2)


def test_a_later_call_resumes_the_part_that_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "file"
    site.faults = ["break", "break"]
    with pytest.raises(DownloadError, match=rf"expected {len(BODY)} bytes, got {2 * CUT} \(try 2 of 2\)"):
        get(site, path, tries=2)
    assert not path.exists()
    assert part_of(path).read_bytes() == BODY[: 2 * CUT]
    seen: list[tuple[int, int | None]] = []
    fetch(site.url + "/file", path, sha256(BODY), lambda have, total: seen.append((have, total)))
    assert path.read_bytes() == BODY
    assert site.ranges[2:] == [f"bytes={2 * CUT}-"]
    assert seen[0][0] > 2 * CUT
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_server_without_range_starts_over(site: Site, tmp_path: Path) -> None:
    site.faults = ["break", "no range"]
    assert get(site, tmp_path / "file").read_bytes() == BODY
    assert site.ranges == [None, f"bytes={CUT}-"]


def test_a_whole_part_needs_only_the_answer_that_nothing_is_left(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "file"
    part_of(path).write_bytes(BODY)
    assert get(site, path).read_bytes() == BODY
    assert site.ranges == [f"bytes={len(BODY)}-"]
    assert not part_of(path).exists()


@pytest.mark.parametrize("fault", ["corrupt", "break unsized"])
def test_wrong_bytes_are_refused_and_removed(site: Site, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "file"
    site.faults = [fault]
    got = sha256(BODY[:-1] + b"\0" if fault == "corrupt" else BODY[:CUT])
    with pytest.raises(DownloadError, match=f"expected SHA-256 {sha256(BODY)}, got {got}; removed .*file.part"):
        get(site, path)
    assert list(tmp_path.iterdir()) == []
    assert get(site, path).read_bytes() == BODY
    assert site.ranges == [None, None]


def test_a_part_of_another_file_is_refused_and_removed(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "file"
    part_of(path).write_bytes(b"x" * (len(BODY) + 1))
    with pytest.raises(DownloadError, match=f"expected SHA-256 {sha256(BODY)}"):
        get(site, path)
    assert list(tmp_path.iterdir()) == []


def test_a_range_that_was_not_asked_for_is_refused_and_the_part_kept(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "file"
    part_of(path).write_bytes(BODY[:10])
    site.faults = ["wrong range"]
    with pytest.raises(DownloadError, match=f"expected Content-Range bytes 10-, got 'bytes 11-{len(BODY) - 1}/"):
        get(site, path)
    assert part_of(path).read_bytes() == BODY[:10]
    assert site.ranges == ["bytes=10-"]


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.faults = ["503", "429"]
    assert get(site, tmp_path / "file").read_bytes() == BODY
    assert len(site.ranges) == 3


def test_a_missing_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"/nothing: HTTP Error 404: Not Found \(try 1 of 5\)"):
        fetch(site.url + "/nothing", tmp_path / "file", sha256(BODY))
    assert site.ranges == [None]
    assert list(tmp_path.iterdir()) == []


def test_waits_double(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("training.data.download.time.sleep", waits.append)
    site.faults = ["503"] * 4
    with pytest.raises(DownloadError, match="try 4 of 4"):
        fetch(site.url + "/file", tmp_path / "file", sha256(BODY), tries=4, backoff=0.5)
    assert waits == [0.5, 1.0, 2.0]


def test_a_file_that_is_there_is_verified_without_a_request(site: Site, tmp_path: Path) -> None:
    path = get(site, tmp_path / "file")
    assert get(site, path) == path
    path.write_bytes(b"mine")
    with pytest.raises(DownloadError, match=f"expected SHA-256 {sha256(BODY)}, got {sha256(b'mine')}; move it away"):
        get(site, path)
    assert path.read_bytes() == b"mine"
    assert site.ranges == [None]


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/file", "host/file"])
def test_only_http_is_accepted(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected http:// or https://, got '{url}'"):
        fetch(url, tmp_path / "file", sha256(BODY))


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return packed.getvalue()


WORDS = {"./yes/a_nohash_0.wav": b"yes", "./no/b_nohash_0.wav": b"no", "./testing_list.txt": b"no/b_nohash_0.wav\n"}


def test_speech_commands_are_unpacked_once(site: Site, tmp_path: Path) -> None:
    packed = archive(WORDS)
    site.files["/words.tar.gz"] = packed
    for _ in range(2):
        folder = fetch_speech_commands(tmp_path / "words", site.url + "/words.tar.gz", sha256(packed))
        assert folder == tmp_path / "words"
    files = {f"./{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files == WORDS | {"./.unpacked": sha256(packed).encode()}
    assert site.ranges == [None]


def test_unpacking_that_was_interrupted_is_done_again_without_a_request(site: Site, tmp_path: Path) -> None:
    packed = archive(WORDS)
    (tmp_path / "words.tar.gz").write_bytes(packed)
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a_nohash_0.wav").write_bytes(b"y")
    fetch_speech_commands(tmp_path, site.url + "/words.tar.gz", sha256(packed))
    assert (tmp_path / "yes" / "a_nohash_0.wav").read_bytes() == b"yes"
    assert (tmp_path / "no" / "b_nohash_0.wav").read_bytes() == b"no"
    assert site.ranges == []


def test_an_archive_never_writes_outside_its_folder(site: Site, tmp_path: Path) -> None:
    packed = archive({"../outside": b"x"})
    site.files["/words.tar.gz"] = packed
    with pytest.raises(tarfile.OutsideDestinationError, match="outside"):
        fetch_speech_commands(tmp_path / "words", site.url + "/words.tar.gz", sha256(packed))
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "words" / ".unpacked").exists()


def test_mnist_is_four_verified_files_fetched_once(site: Site, tmp_path: Path) -> None:
    site.files = {f"/mnist/{name}": name.encode() for name in MNIST_SHA256}
    sums = {name: sha256(name.encode()) for name in MNIST_SHA256}
    for _ in range(2):
        assert fetch_mnist(tmp_path, site.url + "/mnist/", sums) == tmp_path
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: name.encode() for name in sums}
    assert site.ranges == [None] * 4


def test_voices_are_two_verified_files_and_a_broken_fetch_resumes(site: Site, tmp_path: Path) -> None:
    site.files = {f"/{name}": BODY for name in VOICES_SHA256}
    site.faults = ["break"] * 5
    sums = dict.fromkeys(VOICES_SHA256, sha256(BODY))
    with pytest.raises(DownloadError, match="connection closed early"):
        fetch(f"{site.url}/{next(iter(sums))}", tmp_path / next(iter(sums)), sha256(BODY), tries=1)
    site.faults = []
    assert fetch_voices(tmp_path, site.url + "/", sums) == tmp_path
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(sums, BODY)
    assert site.ranges == [None, f"bytes={CUT}-", None]


def test_the_real_checksums_are_asked_for_by_default(site: Site, tmp_path: Path) -> None:
    name, expected = next(iter(MNIST_SHA256.items()))
    site.files = {f"/{name}": b"another", "/words.tar.gz": b"another"}
    with pytest.raises(DownloadError, match=f"{name}: expected SHA-256 {expected}, got {sha256(b'another')}"):
        fetch_mnist(tmp_path, site.url + "/")
    with pytest.raises(DownloadError, match=f"expected SHA-256 {SPEECH_COMMANDS_SHA256}, got {sha256(b'another')}"):
        fetch_speech_commands(tmp_path, site.url + "/words.tar.gz")
    name, expected = next(iter(VOICES_SHA256.items()))
    site.files = {f"/{name}": b"another"}
    with pytest.raises(DownloadError, match=f"{name}: expected SHA-256 {expected}, got {sha256(b'another')}"):
        fetch_voices(tmp_path, site.url + "/")
