"""service/machine.py: the line under every measurement."""

import os
import platform

from service.machine import Machine, this_machine


def test_the_line_names_all_that_counts() -> None:
    machine = Machine("AMD EPYC", 2, "Linux x86_64", "3.11.7")
    assert str(machine) == "AMD EPYC, 2 cores, Linux x86_64, Python 3.11.7"


def test_it_is_this_machine() -> None:
    machine = this_machine()
    assert (machine.cores, machine.python) == (os.cpu_count(), platform.python_version())
    assert machine.processor
