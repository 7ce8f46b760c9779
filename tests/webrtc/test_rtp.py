"""orchestrator/webrtc/rtp.py: headers of every shape, and none that reads beyond its packet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.webrtc import rtp

PAYLOAD = b"opus payload"


def packet(*, sources: int = 0, extension: bytes | None = None, padding: int = 0) -> bytes:
    header = bytearray(rtp.header(111, 65535, 2**32 - 1, 0xDEADBEEF, marker=True))
    header[0] |= sources | (0x10 if extension is not None else 0) | (0x20 if padding else 0)
    body = bytes(4 * sources)
    if extension is not None:
        body += b"\xbe\xde" + (len(extension) // 4).to_bytes(2) + extension
    end = bytes(padding - 1) + bytes([padding]) if padding else b""
    return bytes(header) + body + PAYLOAD + end


@pytest.mark.parametrize("sources", [0, 1, 15])
@pytest.mark.parametrize("extension", [None, b"", b"\x10\x00\x00\x00", bytes(40)])
@pytest.mark.parametrize("padding", [0, 1, 4, 255])
def test_the_payload_is_found_behind_sources_extension_and_padding(
    sources: int, extension: bytes | None, padding: int
) -> None:
    parsed = rtp.parse(packet(sources=sources, extension=extension, padding=padding))
    assert parsed == (111, 65535, 2**32 - 1, 0xDEADBEEF, PAYLOAD)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"\x80" * 11, "shorter"),
        (b"\x00" * 20, "version"),
        (b"\x8f" + bytes(15), "longer"),
        (b"\x90" + bytes(11), "cut off"),
        (b"\x90" + bytes(11) + b"\xbe\xde\x00\x09" + bytes(4), "longer"),
        (b"\xa0" + bytes(15), "padding"),
        (b"\xa0" + bytes(14) + b"\xff", "padding"),
    ],
)
def test_a_malformed_packet_is_refused(bad: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rtp.parse(bad)


@given(st.binary(max_size=80))
def test_any_bytes_either_parse_within_their_length_or_are_refused(datagram: bytes) -> None:
    try:
        parsed = rtp.parse(datagram)
    except ValueError:
        return
    assert parsed.payload in datagram
