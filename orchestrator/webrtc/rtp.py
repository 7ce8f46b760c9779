"""RTP headers (RFC 3550 section 5.1). Only what an audio call needs: this runs a hundred times a second per call."""

import struct
from typing import NamedTuple

CLOCK_RATE = 48000  # of Opus, whatever rate it codes (RFC 7587 section 4.1)

_header = struct.Struct(">BBHII")


class RtpPacket(NamedTuple):
    """A received packet; `payload` is without padding and header extensions."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(packet: bytes) -> RtpPacket:
    """Read a packet that may carry contributing sources, an extension and padding. Raises ValueError for a bad one."""
    if len(packet) < 12:
        raise ValueError("shorter than an RTP header")
    flags, payload_type, sequence, timestamp, ssrc = _header.unpack_from(packet)
    if flags & 0xC0 != 0x80:
        raise ValueError("not RTP version 2")
    start, end = 12 + 4 * (flags & 0x0F), len(packet)
    if flags & 0x10:
        if start + 4 > end:
            raise ValueError("the header extension is cut off")
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    if flags & 0x20:
        if not 0 < packet[-1] <= end - start:
            raise ValueError("more padding than payload")
        end -= packet[-1]
    if start > end:
        raise ValueError("the header is longer than the packet")
    return RtpPacket(payload_type & 0x7F, sequence, timestamp, ssrc, packet[start:end])


def header(payload_type: int, sequence: int, timestamp: int, ssrc: int, *, marker: bool) -> bytes:
    """The 12 bytes before a payload."""
    return _header.pack(0x80, payload_type | (0x80 if marker else 0), sequence, timestamp, ssrc)
