"""The floor under the media plane: what one call's sound costs in C alone, on this machine.

    python -m benchmarks.floor

Per session-second, both ways speaking: 50 Opus frames encoded and 50 decoded, 50 packets protected and 50 unprotected
by libsrtp, 50 sent and 50 received over UDP loopback. Prints milliseconds of CPU.
"""

import json
import socket
import time
from collections.abc import Callable

import numpy as np
import pylibsrtp

from orchestrator.webrtc import rtp
from orchestrator.webrtc.opus import Decoder, Encoder

SECONDS = 40
FRAMES = 50
SAMPLE_RATE = 24_000


def cpu_ms_per_second(work: Callable[[int], object]) -> float:
    """CPU of `work(frame)` for 50 frames, on average over SECONDS."""
    began = time.process_time()
    for frame in range(SECONDS * FRAMES):
        work(frame)
    return round((time.process_time() - began) / SECONDS * 1000, 2)


def speech_like(seconds: int) -> list[bytes]:
    """Frames of 20 ms whose spectrum and level vary as speech does; Opus is cheaper on tones and silence."""
    random = np.random.default_rng(0)
    count = seconds * FRAMES
    frame = SAMPLE_RATE // FRAMES
    phase = np.cumsum(np.repeat(random.uniform(90, 250, count), frame) / SAMPLE_RATE)
    voice = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 20))
    level = np.repeat(np.abs(np.sin(np.arange(count) / 7)), frame) * 4000
    sound = (voice * level + random.standard_normal(count * frame) * 100).clip(-32000, 32000).astype("<i2")
    return [sound[i * frame : (i + 1) * frame].tobytes() for i in range(count)]


def main() -> None:
    """Measure each part and print the table as JSON."""
    frames = speech_like(4)
    encoder, decoder = Encoder(SAMPLE_RATE), Decoder(16_000)
    payloads = [Encoder(SAMPLE_RATE).encode(frame) for frame in frames]
    key = bytes(range(30))
    outbound = pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    inbound = pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND))
    packets = [
        rtp.header(111, n & 0xFFFF, n * 960, 1, marker=False) + payloads[n % len(payloads)]
        for n in range(SECONDS * FRAMES)
    ]
    protected: list[bytes] = []
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    far.bind(("127.0.0.1", 0))

    def transfer(_: int) -> None:
        near.sendto(packets[0], far.getsockname())
        far.recv(2048)

    parts = {
        "opus_encode": cpu_ms_per_second(lambda n: encoder.encode(frames[n % len(frames)])),
        "opus_decode": cpu_ms_per_second(lambda n: decoder.decode(payloads[n % len(payloads)])),
        "srtp_protect": cpu_ms_per_second(lambda n: protected.append(outbound.protect(packets[n]))),
        "srtp_unprotect": cpu_ms_per_second(lambda n: inbound.unprotect(protected[n])),
        "udp": cpu_ms_per_second(transfer),
    }
    print(json.dumps({"ms_per_session_second": parts, "sum": round(sum(parts.values()), 2)}, indent=2))


if __name__ == "__main__":
    main()
