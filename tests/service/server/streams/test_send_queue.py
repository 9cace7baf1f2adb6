import asyncio

from service.server.streams.messages import ErrorEvent, ServerEvent
from service.server.streams.send_queue import SendQueue
from service.spotting.config import ProtocolError


def event(name: str) -> ErrorEvent:
    return ErrorEvent(name, "", fatal=False)


def ignore(error: ProtocolError) -> None: ...


async def test_events_go_out_in_order_each_made_at_its_hand_over() -> None:
    out: list[ServerEvent] = []

    async def send(event: ServerEvent) -> None:
        out.append(event)

    queue = SendQueue(5, ignore)
    queue.put(event("a"))
    queue.put_lazy(lambda: event(f"after {len(out)}"))
    queue.put(event("b"))
    queue.end()
    await queue.send_all(send)
    assert out == [event("a"), event("after 1"), event("b")]


async def test_the_last_event_is_queued_however_many_wait() -> None:
    out: list[ServerEvent] = []

    async def send(event: ServerEvent) -> None:
        out.append(event)

    queue = SendQueue(1, ignore)
    for name in "abc":
        queue.put(event(name))
    queue.end(event("last"))
    await queue.send_all(send)
    assert out == [event("a"), event("last")]


async def test_a_client_that_does_not_read_is_given_up() -> None:
    errors: list[ProtocolError] = []
    queue = SendQueue(2, errors.append)
    sending = asyncio.create_task(queue.send_all(lambda _: asyncio.sleep(60)))
    queue.put(event("a"))
    await asyncio.sleep(0)  # one is on its way, two may wait
    for _ in range(2):
        queue.put(event("b"))
    assert errors == []
    queue.put(event("c"))
    assert [(error.code, str(error)) for error in errors] == [
        ("slow_reader", "expected messages to be read, got 2 that are not")
    ]
    sending.cancel()
