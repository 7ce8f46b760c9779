"""RTCP of one call: sender and receiver reports, about every two seconds, and what the client reports."""

import random
import struct
import time
from collections.abc import Callable

from aiortc.clock import current_ntp_time
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)

from orchestrator.webrtc.receive import Receiver
from orchestrator.webrtc.send import Sender

INTERVAL_TICKS = 100  # times 0.5 to 1.5, at random, so that reports of many calls do not fall together

_CNAME = 1


class Reports:
    """Composes and reads the reports of one sender and one receiver, either of which may be idle."""

    def __init__(self, sender: Sender, receiver: Receiver, *, cname: str, transmit: Callable[[bytes], None]) -> None:
        self.round_trip_s: float | None = None
        self.lost_at_client = 0.0  # the part of our packets that its last report missed
        self._sender = sender
        self._receiver = receiver
        self._cname = cname.encode()
        self._transmit = transmit
        self._ticks = INTERVAL_TICKS // 4
        self._packets_reported = 0
        self._last_report: int | None = None  # middle 32 bits of the NTP time of the client's last sender report
        self._last_report_at = 0.0

    def tick(self) -> None:
        """20 ms have passed."""
        self._ticks -= 1
        if self._ticks <= 0:
            self._ticks = int(INTERVAL_TICKS * random.uniform(0.5, 1.5))
            self._transmit(self._report() + self._description())

    def bye(self) -> None:
        """Tell the client that the call ends."""
        self._transmit(self._report() + self._description() + bytes(RtcpByePacket([self._sender.ssrc])))

    def received(self, datagram: bytes) -> None:
        """Read a decrypted compound packet; what cannot be read is ignored."""
        try:
            packets = RtcpPacket.parse(datagram)
        except (ValueError, IndexError, struct.error):
            return
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._last_report = packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
                self._last_report_at = time.monotonic()
            if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
                for report in packet.reports:
                    if report.ssrc == self._sender.ssrc:
                        self._heard_by_client(report)

    def _heard_by_client(self, report: RtcpReceiverInfo) -> None:
        self.lost_at_client = report.fraction_lost / 256
        if report.lsr:
            now = current_ntp_time() >> 16 & 0xFFFFFFFF
            round_trip = (now - report.lsr - report.dlsr) & 0xFFFFFFFF
            if round_trip < 0x80000000:  # else the clock was set back meanwhile
                self.round_trip_s = round_trip / 65536

    def _report(self) -> bytes:
        reports = []
        if reception := self._receiver.reception():
            delay = 0
            if self._last_report is not None:
                delay = min(int((time.monotonic() - self._last_report_at) * 65536), 0xFFFFFFFF)
            reports.append(
                RtcpReceiverInfo(
                    ssrc=reception.ssrc,
                    fraction_lost=min(reception.fraction_lost, 255),
                    packets_lost=reception.packets_lost,
                    highest_sequence=reception.highest_sequence,
                    jitter=reception.jitter,
                    lsr=self._last_report or 0,
                    dlsr=delay,
                )
            )
        sender = self._sender
        if sender.packets == self._packets_reported:  # sent nothing since (RFC 3550 section 6.4)
            return bytes(RtcpRrPacket(ssrc=sender.ssrc, reports=reports))
        self._packets_reported = sender.packets
        info = RtcpSenderInfo(
            ntp_timestamp=current_ntp_time(),
            rtp_timestamp=sender.timestamp,
            packet_count=sender.packets & 0xFFFFFFFF,
            octet_count=sender.octets & 0xFFFFFFFF,
        )
        return bytes(RtcpSrPacket(ssrc=sender.ssrc, sender_info=info, reports=reports))

    def _description(self) -> bytes:
        return bytes(RtcpSdesPacket([RtcpSourceInfo(ssrc=self._sender.ssrc, items=[(_CNAME, self._cname)])]))
