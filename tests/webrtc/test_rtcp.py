"""orchestrator/webrtc/rtcp.py: reports that another implementation reads, and reading those of others."""

import itertools

import pytest
from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)

from orchestrator.webrtc import rtp
from orchestrator.webrtc.opus import Encoder
from orchestrator.webrtc.playout import Playout
from orchestrator.webrtc.receive import Receiver
from orchestrator.webrtc.rtcp import INTERVAL_TICKS, Reports
from orchestrator.webrtc.send import Sender


class Call:
    """A sender, a receiver, and the reports between them and a client."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        playout = Playout(on_started=lambda _: None, on_finished=lambda _: None)
        self.sender = Sender(playout, lambda _: None, payload_type=111, ssrc=42)
        self.receiver = Receiver(111, lambda _: None)
        self.reports = Reports(self.sender, self.receiver, cname="goassist", transmit=self.sent.append)

    def last(self) -> list[object]:
        return list(RtcpPacket.parse(self.sent[-1]))


@pytest.fixture
def call() -> Call:
    return Call()


def hear(call: Call, sequences: range) -> None:
    silence = Encoder(16000).encode(bytes(640))
    for sequence in sequences:
        call.receiver.push(rtp.header(111, sequence, 960 * sequence, 7, marker=False) + silence, sequence * 0.02)


def report(call: Call) -> None:
    """Pass time until the next report."""
    count = len(call.sent)
    for _ in range(2 * INTERVAL_TICKS):
        call.reports.tick()
        if len(call.sent) > count:
            return
    raise AssertionError("no report was sent")


def test_a_sender_report_carries_the_counts_and_the_time_of_the_last_packet(call: Call) -> None:
    for _ in range(10):
        call.sender.tick()
    before = current_ntp_time()
    report(call)
    first, description = call.last()
    assert isinstance(first, RtcpSrPacket)
    assert isinstance(description, RtcpSdesPacket)
    assert (first.ssrc, first.reports) == (42, [])
    info = first.sender_info
    assert (info.packet_count, info.octet_count) == (10, call.sender.octets)
    assert info.rtp_timestamp == call.sender.timestamp
    assert before <= info.ntp_timestamp <= current_ntp_time()
    assert description.chunks[0].items == [(1, b"goassist")]


def test_a_call_that_sends_nothing_sends_receiver_reports(call: Call) -> None:
    hear(call, range(10))
    report(call)
    first = call.last()[0]
    assert isinstance(first, RtcpRrPacket)
    assert [each.ssrc for each in first.reports] == [7]


def test_losses_are_reported_to_the_client(call: Call) -> None:
    hear(call, range(10))
    hear(call, range(20, 30))
    call.sender.tick()
    report(call)
    first = call.last()[0]
    assert isinstance(first, RtcpSrPacket)
    assert (first.reports[0].packets_lost, first.reports[0].highest_sequence) == (10, 29)
    assert first.reports[0].fraction_lost == 10 * 256 // 30


def test_reports_come_about_every_two_seconds_and_not_in_step(call: Call) -> None:
    ticks = []
    for tick in range(INTERVAL_TICKS * 40):
        call.reports.tick()
        if len(call.sent) > len(ticks):
            ticks.append(tick)
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert 0.5 * INTERVAL_TICKS - 1 <= min(gaps) < 0.8 * INTERVAL_TICKS
    assert 1.2 * INTERVAL_TICKS < max(gaps) <= 1.5 * INTERVAL_TICKS


def test_the_client_can_measure_the_round_trip_through_us(call: Call) -> None:
    ntp = current_ntp_time()
    info = RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=0, packet_count=1, octet_count=1)
    call.reports.received(bytes(RtcpSrPacket(ssrc=7, sender_info=info)))
    hear(call, range(3))
    report(call)
    first = call.last()[0]
    assert isinstance(first, RtcpRrPacket)
    assert first.reports[0].lsr == ntp >> 16 & 0xFFFFFFFF
    assert 0 <= first.reports[0].dlsr < 65536


def test_the_round_trip_is_measured_from_what_the_client_reports(call: Call) -> None:
    a_second_ago = (current_ntp_time() - (1 << 32)) >> 16 & 0xFFFFFFFF
    info = RtcpReceiverInfo(
        ssrc=42, fraction_lost=64, packets_lost=5, highest_sequence=9, jitter=0, lsr=a_second_ago, dlsr=int(0.9 * 65536)
    )
    call.reports.received(bytes(RtcpRrPacket(ssrc=7, reports=[info])))
    assert call.reports.round_trip_s == pytest.approx(0.1, abs=0.02)
    assert call.reports.lost_at_client == 0.25


def test_a_clock_that_stepped_back_gives_no_round_trip_of_hours(call: Call) -> None:
    ahead = (current_ntp_time() + (5 << 32)) >> 16 & 0xFFFFFFFF
    info = RtcpReceiverInfo(ssrc=42, fraction_lost=0, packets_lost=0, highest_sequence=9, jitter=0, lsr=ahead, dlsr=0)
    call.reports.received(bytes(RtcpRrPacket(ssrc=7, reports=[info])))
    assert call.reports.round_trip_s is None


def test_what_cannot_be_read_is_ignored(call: Call) -> None:
    for junk in (b"", b"\x80", b"\x81\xc9\x00\x07" + bytes(8), b"\x80\xc8\x00\x01" + bytes(4), bytes(40)):
        call.reports.received(junk)
    assert call.reports.round_trip_s is None


def test_the_end_is_announced(call: Call) -> None:
    call.reports.bye()
    assert call.last()[-1] == RtcpByePacket([42])
