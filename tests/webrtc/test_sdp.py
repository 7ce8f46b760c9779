"""orchestrator/webrtc/sdp.py: real offers pass reduced, others are refused with a reason, none takes long."""

import time

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import InvalidRequestError
from orchestrator.webrtc.sdp import MAX_CANDIDATES, MAX_OFFER_BYTES, complete_answer, read_offer
from tests.webrtc.offers import AUDIO_SECTION, CHROME, DATA_SECTION, FIREFOX, HEAD, VIDEO_SECTION


@pytest.mark.parametrize("offer", [CHROME, FIREFOX, CHROME.replace("\r\n", "\n")], ids=["chrome", "firefox", "lf"])
def test_what_browsers_offer_reaches_aiortc_with_all_that_matters(offer: str) -> None:
    read = read_offer(offer)
    assert read.has_audio
    assert read.has_data
    assert read.ice_username == "EEtu"
    audio, data = SessionDescription.parse(read.sdp).media
    assert (audio.kind, audio.fmt, audio.rtp.muxId, audio.direction) == ("audio", [111], "0", "sendrecv")
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/opus"]
    assert audio.rtcp_mux
    assert (data.kind, data.sctp_port, data.rtp.muxId) == ("application", 5000, "1")
    for media in (audio, data):
        assert media.ice.usernameFragment == "EEtu"
        assert media.ice.password == "7/1H2Fq3gkZtXlN2eU6mY5aB"
        assert media.dtls is not None
        assert [each.algorithm for each in media.dtls.fingerprints] == ["sha-256"]


def test_candidates_that_cannot_be_reached_are_left_out() -> None:
    audio = SessionDescription.parse(read_offer(CHROME).sdp).media[0]
    assert [(each.ip, each.port, each.type) for each in audio.ice_candidates] == [("192.0.2.7", 54321, "srflx")]


def test_the_number_of_candidates_is_limited() -> None:
    many = "".join(f"a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n" for port in range(1000, 1600))
    audio = SessionDescription.parse(read_offer(HEAD + AUDIO_SECTION + many + DATA_SECTION).sdp).media[0]
    assert len(audio.ice_candidates) == MAX_CANDIDATES


def test_a_section_without_a_direction_goes_both_ways() -> None:
    audio = SessionDescription.parse(read_offer(CHROME.replace("a=sendrecv\r\n", "")).sdp).media[0]
    assert audio.direction == "sendrecv"


def test_video_and_a_second_microphone_are_refused_in_their_places() -> None:
    second = AUDIO_SECTION.replace("a=mid:0", "a=mid:second")
    offer = read_offer(
        HEAD.replace("BUNDLE 0 1", "BUNDLE v 0 second 1") + VIDEO_SECTION + AUDIO_SECTION + second + DATA_SECTION
    )
    assert [section.kind for section in offer.sections if section.lines] == ["audio", "application"]
    assert "BUNDLE 0 1\r\n" in offer.sdp
    accepted = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 5 X 111\r\na=mid:0\r\nm=application 5 Y z\r\na=mid:1\r\n"
    answer = complete_answer(accepted, offer)
    lines = [line for line in answer.splitlines() if line.startswith(("m=", "a=mid", "a=group"))]
    assert lines == [
        "a=group:BUNDLE 0 1",
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97 45",
        "a=mid:v",
        "m=audio 5 X 111",
        "a=mid:0",
        "m=audio 0 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
        "a=mid:second",
        "m=application 5 Y z",
        "a=mid:1",
    ]


def test_an_offer_that_does_not_bundle_gets_an_answer_that_does_not() -> None:
    offer = read_offer(CHROME.replace("a=group:BUNDLE 0 1\r\n", ""))
    assert "BUNDLE" not in offer.sdp
    answer = complete_answer("v=0\r\na=group:BUNDLE 0 1\r\nm=audio 5 X 1\r\nm=application 5 Y z\r\n", offer)
    assert "BUNDLE" not in answer


def test_a_section_that_the_client_itself_has_switched_off_stays_off() -> None:
    offer = read_offer(CHROME.replace("m=audio 54321", "m=audio 0"))
    assert not offer.has_audio
    assert offer.has_data


def test_a_section_that_waits_for_its_bundle_is_on() -> None:
    offer = read_offer(CHROME.replace("m=application 54321", "m=application 0") + "a=bundle-only\r\n")
    assert offer.has_data


def test_audio_alone_and_data_alone_are_enough() -> None:
    assert not read_offer(HEAD + AUDIO_SECTION).has_data
    assert not read_offer(HEAD + DATA_SECTION).has_audio


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("", "first line"),
        ("hello", "first line"),
        ('{"sdp": "v=0"}', "first line"),
        (HEAD, "no media section"),
        (HEAD + VIDEO_SECTION, "neither Opus audio nor a data channel"),
        (CHROME.replace("opus/48000/2", "opus/48000/1").replace(DATA_SECTION, ""), "neither Opus"),
        (CHROME.replace("m=audio 54321", "m=audio x"), "malformed: 'm=audio x"),
        (CHROME.replace("a=ice-ufrag:EEtu\r\n", ""), "no a=ice-ufrag"),
        (CHROME.replace("a=ice-ufrag:EEtu", "a=ice-ufrag:é"), "a=ice-ufrag of the SDP offer is malformed"),
        (CHROME.replace("a=ice-pwd:7/1H2Fq3gkZtXlN2eU6mY5aB", "a=ice-pwd:short"), "a=ice-pwd of the SDP offer"),
        (CHROME.replace("a=setup:actpass", "a=setup:holdconn"), "a=setup of the SDP offer is malformed"),
        (CHROME.replace("a=fingerprint:sha-256 ", "a=fingerprint:"), "a=fingerprint of the SDP offer"),
        (CHROME.replace("a=rtcp-mux\r\n", ""), "lacks a=rtcp-mux"),
        (CHROME.replace("a=mid:0\r\n", ""), "no a=mid"),
        (CHROME.replace("a=mid:1", "a=mid:0"), "same a=mid"),
        (CHROME.replace("a=sctp-port:5000\r\n", ""), "no SCTP port"),
        (CHROME.replace("typ srflx", "type srflx"), "candidate of the SDP offer is malformed"),
        (CHROME.replace(":111 opus", ":9 opus"), "static payload type 9"),
        (HEAD + VIDEO_SECTION * 20, "more than 16 media sections"),
        (CHROME + "a=x\r\n" * MAX_OFFER_BYTES, "longer than 65536 bytes"),
    ],
)
def test_what_is_wrong_with_an_offer_is_said(bad: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        read_offer(bad)
    assert caught.value.param == "sdp"


FILLERS = [
    "a=candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\n",
    "a=rtpmap:111 opus/48000/2\r\n",
    "a=ssrc:1 cname:x\r\n",
    "a=rtcp-fb:* nack\r\n",
    "a=fmtp:111 a=b\r\n",
    "a=fingerprint:sha-256 AA\r\n",
    "a=group:BUNDLE 0 1\r\n",
    "a=mid:0\r\n",
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
    "\r\n",
    "a" * 100 + "\r\n",
]


@pytest.mark.parametrize("filler", FILLERS)
def test_the_largest_offer_there_may_be_is_read_in_no_time(filler: str) -> None:
    offer = HEAD + AUDIO_SECTION + filler * ((MAX_OFFER_BYTES - len(HEAD + AUDIO_SECTION)) // len(filler))
    began = time.process_time()
    try:
        read = read_offer(offer)
    except InvalidRequestError:
        read = None
    if read:
        SessionDescription.parse(read.sdp)
    assert time.process_time() - began < 0.25


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(
            st.sampled_from(["drop", "double", "cut", "swap", "noise"]),
            st.integers(min_value=0, max_value=10_000),
            st.text(alphabet="a=:m0123456789 /.\u00e9-", max_size=12),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_damage_to_an_offer_is_either_tolerated_or_refused(edits: list[tuple[str, int, str]]) -> None:
    lines = CHROME.splitlines()
    for edit, place, noise in edits:
        at = place % max(1, len(lines))
        if not lines:
            break
        if edit == "drop":
            del lines[at]
        elif edit == "double":
            lines.insert(at, lines[at])
        elif edit == "cut":
            lines[at] = lines[at][: place % 30]
        elif edit == "swap":
            lines[at], lines[0] = lines[0], lines[at]
        else:
            lines[at] = lines[at][: place % 20] + noise
    try:
        offer = read_offer("\r\n".join(lines))
    except InvalidRequestError:
        return
    assert offer.has_audio or offer.has_data
