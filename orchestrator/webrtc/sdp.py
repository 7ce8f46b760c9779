"""SDP offers, checked and reduced to what a call needs before aiortc sees them, and answers completed.

aiortc raises six kinds of errors for malformed offers, takes seconds for some, and cannot refuse a media section. So
an offer is read here first: the first audio section with Opus and the data-channel section are handed on, with the
attributes that matter; every other section (video, a second microphone) is refused in the answer (RFC 3264 section 6).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.errors import InvalidRequestError

MAX_OFFER_BYTES = 64 * 1024
MAX_SECTIONS = 16
MAX_CANDIDATES = 32  # per section; a browser has fewer than ten

_MEDIA = re.compile(r"m=([a-z]+) (\d{1,5})(?:/\d+)? ([A-Z/]+) (\S.*)")
_OPUS = re.compile(r"a=rtpmap:(\d{1,3}) opus/48000/2", re.IGNORECASE)
_CANDIDATE = re.compile(r"a=candidate:\S{1,32} \d+ (\S+) \d{1,10} (\S+) \d{1,5} typ (\S+).*", re.IGNORECASE)
_SCTP_PORT = re.compile(r"(?:a=sctp-port:)?(\d{1,5})")
_ICE_CHARACTERS = r"[A-Za-z0-9+/]"
_ATTRIBUTES = {  # name → what its value must look like
    "ice-ufrag": re.compile(_ICE_CHARACTERS + "{4,256}"),
    "ice-pwd": re.compile(_ICE_CHARACTERS + "{22,256}"),
    "fingerprint": re.compile(r"[A-Za-z0-9-]+ [0-9A-Fa-f:]+"),
    "setup": re.compile("actpass|active|passive"),
}
_KEPT = {"sctp-port", "max-message-size", "sctpmap", "ice-options"}
_DIRECTIONS = {"sendrecv", "sendonly", "recvonly", "inactive"}


@dataclass(slots=True)
class Section:
    """One media section of an offer; `lines` is what aiortc gets of it, empty where it is refused."""

    kind: str
    port: str
    profile: str
    formats: str
    mid: str  # empty where there is none, which only a section that is refused may have
    bundled: bool
    offered: list[str]
    lines: list[str] = field(default_factory=list)

    @property
    def is_off(self) -> bool:
        """Whether the client has switched it off; with bundle-only, port 0 says that it has no port of its own."""
        return self.port == "0" and not (self.bundled and "a=bundle-only" in self.offered)


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer: `sdp` is what aiortc gets, `ice_username` tells whether a later offer restarts ICE."""

    sdp: str
    sections: tuple[Section, ...]
    bundle: tuple[str, ...]  # mids of the accepted sections that share a transport, in the client's order
    ice_username: str

    @property
    def accepted(self) -> list[Section]:
        """The sections that aiortc gets, in its order: one of audio and one of data at most."""
        return [each for each in self.sections if each.lines]

    @property
    def is_bundled(self) -> bool:
        """Whether all that is accepted goes over one transport."""
        return len(self.accepted) == len(self.bundle)

    @property
    def has_audio(self) -> bool:
        """Whether there is a microphone or a speaker at all."""
        return any(each.kind == "audio" for each in self.accepted)

    @property
    def has_data(self) -> bool:
        """Whether data channels are possible."""
        return any(each.kind == "application" for each in self.accepted)


def read_offer(text: str) -> Offer:
    """Check an offer and reduce it. Raises InvalidRequestError that says what is wrong with it."""
    if len(text.encode(errors="replace")) > MAX_OFFER_BYTES:
        raise InvalidRequestError(f"The SDP offer is longer than {MAX_OFFER_BYTES} bytes.", param="sdp")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    if not lines or lines[0] != "v=0":
        raise InvalidRequestError('This is not an SDP offer: its first line must be "v=0".', param="sdp")
    if not starts:
        raise InvalidRequestError("The SDP offer has no media section (m=).", param="sdp")
    if len(starts) > MAX_SECTIONS:
        raise InvalidRequestError(f"The SDP offer has more than {MAX_SECTIONS} media sections.", param="sdp")
    common = lines[: starts[0]]
    group = [mid for line in common if line.startswith("a=group:BUNDLE ") for mid in line.split()[1:]]
    ends = [*starts[1:], len(lines)]
    sections = [_section(lines[start:end], group) for start, end in zip(starts, ends, strict=True)]
    mids = [section.mid for section in sections if section.mid]
    if len(set(mids)) != len(mids):
        raise InvalidRequestError("Two media sections of the SDP offer have the same a=mid.", param="sdp")
    accepted: dict[str, tuple[Section, list[str]]] = {}
    for section in sections:
        if section.kind not in accepted and not section.is_off and (media := _media(section)):
            accepted[section.kind] = (section, media)
    if not accepted:
        raise InvalidRequestError("The SDP offer has neither Opus audio nor a data channel.", param="sdp")
    shared = sorted((each for each, _ in accepted.values() if each.bundled), key=lambda each: group.index(each.mid))
    tagged = [each for each in sections if group and each.mid == group[0]]
    for section, media in accepted.values():
        sources = [*shared[:1], *tagged] if section.bundled else [section]
        section.lines = [*media, *_transport(section, [*(each.offered for each in sources), common])]
    header = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if any(line == "a=ice-lite" for line in common):
        header.append("a=ice-lite")
    if shared:
        header.append("a=group:BUNDLE " + " ".join(each.mid for each in sections if each in shared))
    kept = [line for section in sections for line in section.lines]
    username = next(line for line in kept if line.startswith("a=ice-ufrag:"))
    return Offer(
        "\r\n".join([*header, *kept, ""]),
        tuple(sections),
        tuple(each.mid for each in shared),
        username.partition(":")[2],
    )


def complete_answer(answer: str, offer: Offer) -> str:
    """Put the refused sections back into aiortc's answer, at their places."""
    head, *accepted = re.split(r"^(?=m=)", answer, flags=re.MULTILINE)
    group = f"a=group:BUNDLE {' '.join(offer.bundle)}\r\n" if offer.bundle else ""
    head = re.sub(r"a=group:BUNDLE[^\r\n]*\r\n", lambda _: group, head)
    parts = iter(accepted)
    return head + "".join(next(parts) if section.lines else _refusal(section) for section in offer.sections)


def _section(lines: list[str], group: list[str]) -> Section:
    match = _MEDIA.fullmatch(lines[0])
    if not match:
        raise InvalidRequestError(f"This line of the SDP offer is malformed: {lines[0][:100]!r}", param="sdp")
    kind, port, profile, formats = match.groups()
    mid = next((line[6:] for line in lines if line.startswith("a=mid:")), "")
    if " " in mid:
        raise InvalidRequestError(f"This a=mid of the SDP offer is malformed: {mid[:100]!r}", param="sdp")
    return Section(kind, port, profile, formats, mid, bundled=mid in group, offered=lines)


def _media(section: Section) -> list[str]:
    """The lines of a section that say what it is for, checked; none where it is for nothing that we do."""
    offered = section.offered
    if section.kind == "audio" and (opus := next(filter(None, map(_OPUS.fullmatch, offered)), None)):
        if not 96 <= int(opus[1]) < 128:
            raise InvalidRequestError(f"Opus cannot have the static payload type {opus[1]}.", param="sdp")
        direction = next((line for line in offered if line[2:] in _DIRECTIONS), "a=sendrecv")
        lines = [f"m=audio 9 UDP/TLS/RTP/SAVPF {opus[1]}", opus[0], direction]
    elif section.kind == "application" and section.profile.endswith("DTLS/SCTP"):
        ports = map(_SCTP_PORT.fullmatch, [section.formats] if section.profile == "DTLS/SCTP" else offered)
        if not any(port and 0 < int(port[1]) < 65536 for port in ports):
            raise InvalidRequestError("The data-channel section of the SDP offer has no SCTP port.", param="sdp")
        lines = [offered[0]]
    else:
        return []
    if not section.mid:
        raise InvalidRequestError(f"The {section.kind} section of the SDP offer has no a=mid attribute.", param="sdp")
    return [*lines, f"a=mid:{section.mid}", *(line for line in offered if line[2:].partition(":")[0] in _KEPT)]


def _transport(section: Section, sources: list[list[str]]) -> Iterator[str]:
    """The attribute lines of a section's transport that aiortc needs, checked: each from the first source that has it.

    In a bundle that is the first section that we accept, or else the one that the client put first: the others need
    have none (RFC 9143 sections 7.1.3 and 7.3.1). At last it is what stands above all sections.
    """
    for name, form in _ATTRIBUTES.items():
        prefix = f"a={name}:"
        found = next(filter(None, ([line for line in each if line.startswith(prefix)] for each in sources)), [])
        if not found:
            raise InvalidRequestError(f"The {section.kind} section of the SDP offer has no a={name}.", param="sdp")
        if not all(form.fullmatch(line[len(prefix) :]) for line in found):
            raise InvalidRequestError(f"a={name} of the SDP offer is malformed: {found[0][:100]!r}", param="sdp")
        yield from found[:4] if name == "fingerprint" else found[:1]
    if section.kind == "audio":
        if not any("a=rtcp-mux" in each for each in [section.offered, *sources]):
            raise InvalidRequestError("The audio section of the SDP offer lacks a=rtcp-mux.", param="sdp")
        yield "a=rtcp-mux"
    yield from next(filter(None, map(_candidates, sources)), [])


def _candidates(lines: list[str]) -> list[str]:
    """UDP candidates with an address.

    Names ending in .local are left out: resolving them would hold up the answer by a second, and where the client can
    reach us, its own checks show its address. The end of candidates is not passed on either, for the same reason.
    """
    usable = []
    for line in lines:
        if not line.startswith("a=candidate:"):
            continue
        match = _CANDIDATE.fullmatch(line)
        if not match:
            raise InvalidRequestError(f"A candidate of the SDP offer is malformed: {line[:100]!r}", param="sdp")
        if match[1].lower() == "udp" and not match[2].endswith(".local"):
            usable.append(line)
    return usable[:MAX_CANDIDATES]


def _refusal(section: Section) -> str:
    mid = f"a=mid:{section.mid}\r\n" if section.mid else ""
    return f"m={section.kind} 0 {section.profile} {section.formats}\r\nc=IN IP4 0.0.0.0\r\n{mid}a=inactive\r\n"
