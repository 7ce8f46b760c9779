"""Offers as browsers make them, shortened only where lines repeat."""

CHROME = """v=0
o=- 7614219274584779017 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 5f6a0b0e
m=audio 54321 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 192.0.2.7
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1862263974 1 udp 2113937151 4f1f7c1f-9ac2-4d1c-8d2d-3a4c0a7b2d11.local 54321 typ host generation 0
a=candidate:842163049 1 udp 1677729535 192.0.2.7 54321 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999
a=candidate:842163050 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0 network-cost 999
a=ice-ufrag:EEtu
a=ice-pwd:7/1H2Fq3gkZtXlN2eU6mY5aB
a=ice-options:trickle
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendrecv
a=msid:5f6a0b0e 1b2c3d4e
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6
a=ssrc:2231627014 msid:5f6a0b0e 1b2c3d4e
m=application 54321 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.7
a=ice-ufrag:EEtu
a=ice-pwd:7/1H2Fq3gkZtXlN2eU6mY5aB
a=ice-options:trickle
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
""".replace("\n", "\r\n")

VIDEO_SECTION = """m=video 9 UDP/TLS/RTP/SAVPF 96 97 45
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:EEtu
a=ice-pwd:7/1H2Fq3gkZtXlN2eU6mY5aB
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:v
a=sendrecv
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:45 AV1/90000
""".replace("\n", "\r\n")

AUDIO_AT, DATA_AT = CHROME.index("m=audio"), CHROME.index("m=application")
HEAD, AUDIO_SECTION, DATA_SECTION = CHROME[:AUDIO_AT], CHROME[AUDIO_AT:DATA_AT], CHROME[DATA_AT:]

# Attributes of the transport above the first section, as Firefox has some of them.
FIREFOX = HEAD.replace(
    "a=extmap-allow-mixed",
    "a=sendrecv\r\na=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:"
    "DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\na=ice-options:trickle",
) + "".join(
    line
    for line in (AUDIO_SECTION + DATA_SECTION).splitlines(keepends=True)
    if not line.startswith(("a=fingerprint", "a=ice-options"))
)
