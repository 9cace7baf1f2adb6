from clients.flushes import Flushes


def test_each_flush_has_its_summary() -> None:
    flushes = Flushes()
    flushes.ask()
    assert flushes.receive()
    assert not flushes.receive()  # the summary of a server that restarts
    flushes.interrupt(restarted=True)
    assert flushes.asked == 0


def test_a_flush_without_a_summary_is_asked_for_again() -> None:
    flushes = Flushes()
    flushes.ask()
    flushes.interrupt(restarted=False)
    assert flushes.asked == 1
    assert flushes.receive()


def test_a_restart_that_looked_like_the_answer_is_not_answered_twice() -> None:
    flushes = Flushes()
    flushes.ask()
    assert flushes.receive()  # of the restart, as shows only afterwards
    for _ in range(2):
        flushes.interrupt(restarted=True)
        assert flushes.asked == 1
        assert not flushes.receive()
    flushes.ask()
    assert flushes.receive()
