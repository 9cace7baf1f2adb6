"""HAProxy with the configuration of deploy/haproxy.cfg, in front of servers on this machine."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.testing import HOST, free_port, is_ready
from tests.support.paths import ROOT

CONFIG = ROOT / "deploy" / "haproxy.cfg"
PROGRAM = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def configuration(port: int, servers: Sequence[int]) -> str:
    """The committed configuration with another port and other servers."""
    text = re.sub(r"bind \S+", f"bind {HOST}:{port}", CONFIG.read_text())
    text = re.sub(r"^    server .*\n", "", text, flags=re.MULTILINE)
    return text + "".join(f"    server kws{i} {HOST}:{server}\n" for i, server in enumerate(servers, 1))


@contextmanager
def proxying(servers: Sequence[int]) -> Iterator[int]:
    """Run the proxy, once a server behind it is ready; gives its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "haproxy.cfg"
        file.write_text(configuration(port, servers))
        proxy = subprocess.Popen([str(PROGRAM), "-f", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not is_ready(port):
                assert proxy.poll() is None, "expected haproxy to run"
            yield port
        finally:
            proxy.terminate()
            proxy.wait()
