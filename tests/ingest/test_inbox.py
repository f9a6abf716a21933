"""The inbox between the network thread and the event loop."""

from __future__ import annotations

import asyncio
import threading

from ingest.inbox import Arrival, Inbox, LinkChange


async def test_what_another_thread_puts_wakes_the_loop_and_keeps_its_order() -> None:
    inbox = Inbox(max_bytes=10_000_000)
    inbox.open()

    def put() -> None:
        for number in range(1000):
            inbox.put(Arrival(str(number), b"", 0))

    thread = threading.Thread(target=put)
    thread.start()
    topics: list[str] = []
    while len(topics) < 1000:
        await asyncio.wait_for(inbox.wait(), 10)
        topics += [item.topic for item in inbox.take(7)]
    thread.join()
    assert topics == [str(number) for number in range(1000)]
    assert inbox.fill == 0
    assert inbox.dropped == 0


async def test_when_full_the_oldest_messages_go_and_changes_of_the_link_stay() -> None:
    inbox = Inbox(max_bytes=3 * 1300)
    inbox.open()
    inbox.put(Arrival("0", bytes(1000), 0))
    inbox.put(LinkChange(up=False, at_ms=1))
    for number in range(1, 6):
        inbox.put(Arrival(str(number), bytes(1000), 0))
    assert inbox.fill == 1
    assert inbox.dropped == 3
    assert [item[0] for item in inbox.take(100)] == [False, "3", "4", "5"]


async def test_a_message_larger_than_the_inbox_is_dropped() -> None:
    inbox = Inbox(max_bytes=1000)
    inbox.open()
    inbox.put(Arrival("0", bytes(2000), 0))
    await asyncio.wait_for(inbox.wait(), 10)
    assert inbox.take(10) == []
    assert (inbox.dropped, inbox.fill) == (1, 0)
