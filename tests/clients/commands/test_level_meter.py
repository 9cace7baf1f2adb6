"""clients/commands/level_meter.py on a terminal and off it."""

import io

import numpy as np
import pytest

from clients.commands.level_meter import ERASE, LevelMeter, level, line


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_as_long_as_it_is_loud() -> None:
    assert line(1.0) == f"|{'#' * 30}| 0 dB"
    assert line(0.1) == f"|{'#' * 20}{' ' * 10}| -20 dB"
    assert line(0.0) == f"|{' ' * 30}| -100 dB"


def test_the_lowest_sample_is_the_loudest() -> None:
    assert level(np.array([[0], [-32768]], np.int16)) == 1.0
    assert level(np.zeros((0, 1), np.int16)) == 0.0


@pytest.mark.parametrize("rate", [8000, 48000])
def test_it_draws_ten_times_a_second_of_audio_the_peak_since_the_last(rate: int) -> None:
    terminal = FakeTerminal()
    meter = LevelMeter(terminal)
    block = np.zeros((rate // 50, 1), np.int16)
    loud = block.copy()
    loud[3] = 3277
    for i in range(50):
        meter.push(loud if i == 7 else block, rate)
    drawn = terminal.getvalue().split(ERASE)[1:]
    assert [text.rsplit("| ", 1)[1] for text in drawn] == ["-100 dB", "-20 dB", *["-100 dB"] * 8]


def test_nothing_is_drawn_off_a_terminal() -> None:
    file = io.StringIO()
    meter = LevelMeter(file)
    meter.push(np.zeros((48000, 1), np.int16), 48000)
    meter.clear()
    assert file.getvalue() == ""
