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


def test_bundle_only_means_nothing_outside_a_bundle() -> None:
    alone = CHROME.replace("BUNDLE 0 1", "BUNDLE 0").replace("m=application 54321", "m=application 0")
    assert not read_offer(alone + "a=bundle-only\r\n").has_data


TRANSPORT = ("a=ice-", "a=fingerprint", "a=setup", "a=candidate", "a=rtcp-mux")


def without_transport(section: str, *, bundle_only: bool = True) -> str:
    """As RFC 9143 section 7.1.3 has it: a bundled section takes its transport from the first of the bundle."""
    kept = "".join(line for line in section.splitlines(keepends=True) if not line.startswith(TRANSPORT))
    return kept.replace(" 54321 ", " 0 ", 1) + "a=bundle-only\r\n" if bundle_only else kept


CANDIDATES = "".join(line for line in AUDIO_SECTION.splitlines(keepends=True) if line.startswith("a=candidate"))
VIDEO_FIRST = HEAD.replace("BUNDLE 0 1", "BUNDLE v 0 1") + VIDEO_SECTION + CANDIDATES


@pytest.mark.parametrize(
    "offer",
    [
        HEAD + AUDIO_SECTION + without_transport(DATA_SECTION),
        HEAD + AUDIO_SECTION + without_transport(DATA_SECTION, bundle_only=False),
        HEAD.replace("BUNDLE 0 1", "BUNDLE 1 0")
        + without_transport(AUDIO_SECTION)
        + "a=rtcp-mux\r\n"
        + DATA_SECTION
        + CANDIDATES,
        VIDEO_FIRST + without_transport(AUDIO_SECTION) + without_transport(DATA_SECTION),
        VIDEO_FIRST + AUDIO_SECTION.replace(CANDIDATES, "") + DATA_SECTION,
    ],
    ids=["data bundle-only", "data bundled", "data first", "video refused", "only candidates with the video"],
)
def test_a_bundle_has_the_transport_of_its_first_section(offer: str) -> None:
    read = read_offer(offer)
    assert read.ice_username == "EEtu"
    assert read.is_bundled
    for media in SessionDescription.parse(read.sdp).media:
        assert media.ice.usernameFragment == "EEtu"
        assert media.ice.password == "7/1H2Fq3gkZtXlN2eU6mY5aB"
        assert media.dtls
        assert media.dtls.fingerprints[0].value.startswith("7B:8B:F0")
        assert [(each.ip, each.port) for each in media.ice_candidates] == [("192.0.2.7", 54321)]
    assert "a=rtcp-mux" in read.sdp


def test_a_bundle_has_the_transport_of_the_first_section_that_is_accepted_and_has_one() -> None:
    """Before it is agreed to, each section of a bundle may have a transport of its own (RFC 9143 section 7.3.1)."""
    own = AUDIO_SECTION.replace("EEtu", "AAAA").replace("192.0.2.7 54321 typ", "192.0.2.7 11111 typ")
    read = read_offer(VIDEO_FIRST + own + DATA_SECTION)
    for media in SessionDescription.parse(read.sdp).media:
        assert media.ice.usernameFragment == "AAAA"
        assert [each.port for each in media.ice_candidates] == [11111]


def test_a_section_outside_the_bundle_has_a_transport_of_its_own() -> None:
    alone = HEAD.replace("BUNDLE 0 1", "BUNDLE 0") + AUDIO_SECTION
    read = read_offer(alone + DATA_SECTION.replace("EEtu", "BBBB"))
    assert not read.is_bundled
    assert [media.ice.usernameFragment for media in SessionDescription.parse(read.sdp).media] == ["EEtu", "BBBB"]
    with pytest.raises(InvalidRequestError, match="application section of the SDP offer has no a=ice-ufrag"):
        read_offer(alone + without_transport(DATA_SECTION, bundle_only=False))


def test_the_answer_names_the_bundle_in_the_clients_order() -> None:
    offer = read_offer(HEAD.replace("BUNDLE 0 1", "BUNDLE 1 0") + AUDIO_SECTION + DATA_SECTION)
    answer = complete_answer("v=0\r\na=group:BUNDLE 0 1\r\nm=audio 5 X 1\r\nm=application 5 Y z\r\n", offer)
    assert "a=group:BUNDLE 1 0\r\n" in answer


STOPPED = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=rtpmap:0 PCMU/8000\r\n"


def test_a_section_that_is_off_needs_no_mid() -> None:
    """Firefox leaves it out of those whose transceiver was stopped."""
    offer = read_offer(HEAD + STOPPED + AUDIO_SECTION + STOPPED + DATA_SECTION)
    assert [section.mid for section in offer.accepted] == ["0", "1"]
    answer = complete_answer("v=0\r\na=group:BUNDLE 0 1\r\nm=audio 5 X 1\r\nm=application 5 Y z\r\n", offer)
    refused = "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n"
    assert answer.partition("a=group:BUNDLE 0 1\r\n")[2] == (
        f"{refused}m=audio 5 X 1\r\n{refused}m=application 5 Y z\r\n"
    )


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
        (CHROME.replace("a=mid:1", "a=mid:1 2"), "a=mid of the SDP offer is malformed"),
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
