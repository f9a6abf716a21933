"""Just enough MQTT 3.1.1 to tell packets apart on a stream, and a PUBLISH's topic and QoS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

PUBLISH = 3


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The next whole packet. Raises asyncio.IncompleteReadError at the end of the stream."""
    head = await reader.readexactly(1)
    length, shift, prefix = 0, 0, head
    while True:
        byte = await reader.readexactly(1)
        prefix += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            break
    return prefix + await reader.readexactly(length)


def published_topic(packet: bytes) -> str | None:
    """The topic of a PUBLISH; None for every other packet."""
    if packet[0] >> 4 != PUBLISH:
        return None
    at = 2
    while packet[at - 1] & 0x80:
        at += 1
    size = int.from_bytes(packet[at : at + 2], "big")
    return packet[at + 2 : at + 2 + size].decode(errors="replace")


def is_plain_publish(packet: bytes) -> bool:
    """A PUBLISH of QoS 0: the one packet that a network of several hops may double or overtake."""
    return packet[0] >> 4 == PUBLISH and not packet[0] & 0b0110
