"""What the machine is that figures were measured on."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, cores, system and Python in a line."""
    cores = os.cpu_count()
    return f"{processor()}, {cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
