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
_KEPT = {"mid", "rtcp-mux", "sctp-port", "max-message-size", "sctpmap", "ice-options"}
_DIRECTIONS = {"sendrecv", "sendonly", "recvonly", "inactive"}


@dataclass(slots=True)
class Section:
    """One media section of an offer; `lines` is what aiortc gets of it, empty where it is refused."""

    kind: str
    profile: str
    formats: str
    mid: str
    bundled: bool
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer: `sdp` is what aiortc gets, `ice_username` tells whether a later offer restarts ICE."""

    sdp: str
    sections: tuple[Section, ...]
    ice_username: str

    @property
    def has_audio(self) -> bool:
        """Whether there is a microphone or a speaker at all."""
        return any(each.lines for each in self.sections if each.kind == "audio")

    @property
    def has_data(self) -> bool:
        """Whether data channels are possible."""
        return any(each.lines for each in self.sections if each.kind == "application")


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
    bundle = _bundle(common)
    sections = []
    taken: set[str] = set()
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        section = _section(lines[start:end], common, bundle, taken)
        sections.append(section)
        if section.lines:
            taken.add(section.kind)
    if not taken:
        raise InvalidRequestError("The SDP offer has neither Opus audio nor a data channel.", param="sdp")
    mids = [section.mid for section in sections]
    if len(set(mids)) != len(mids):
        raise InvalidRequestError("Two media sections of the SDP offer have the same a=mid.", param="sdp")
    header = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    if any(line == "a=ice-lite" for line in common):
        header.append("a=ice-lite")
    if shared := [section.mid for section in sections if section.lines and section.bundled]:
        header.append("a=group:BUNDLE " + " ".join(shared))
    kept = [line for section in sections for line in section.lines]
    username = next(line for line in kept if line.startswith("a=ice-ufrag:"))
    return Offer("\r\n".join([*header, *kept, ""]), tuple(sections), username.partition(":")[2])


def complete_answer(answer: str, offer: Offer) -> str:
    """Put the refused sections back into aiortc's answer, at their places."""
    head, *accepted = re.split(r"^(?=m=)", answer, flags=re.MULTILINE)
    bundle = " ".join(section.mid for section in offer.sections if section.lines and section.bundled)
    group = f"a=group:BUNDLE {bundle}\r\n" if bundle else ""
    head = re.sub(r"a=group:BUNDLE[^\r\n]*\r\n", lambda _: group, head)
    parts = iter(accepted)
    return head + "".join(next(parts) if section.lines else _refusal(section) for section in offer.sections)


def _bundle(common: list[str]) -> set[str]:
    return {mid for line in common if line.startswith("a=group:BUNDLE ") for mid in line.split()[1:]}


def _section(lines: list[str], common: list[str], bundle: set[str], taken: set[str]) -> Section:
    match = _MEDIA.fullmatch(lines[0])
    if not match:
        raise InvalidRequestError(f"This line of the SDP offer is malformed: {lines[0][:100]!r}", param="sdp")
    kind, port, profile, formats = match.groups()
    mid = next((line[6:] for line in lines if line.startswith("a=mid:") and len(line) > 6), "")
    if not mid or " " in mid:
        raise InvalidRequestError(f"The {kind} section of the SDP offer has no a=mid attribute.", param="sdp")
    section = Section(kind, profile, formats, mid, bundled=mid in bundle)
    if kind in taken or (port == "0" and "a=bundle-only" not in lines):
        return section
    if kind == "audio" and (opus := next(filter(None, map(_OPUS.fullmatch, lines)), None)):
        if not 96 <= int(opus[1]) < 128:
            raise InvalidRequestError(f"Opus cannot have the static payload type {opus[1]}.", param="sdp")
        section.lines = [f"m=audio 9 UDP/TLS/RTP/SAVPF {opus[1]}", opus[0], *_attributes(section, lines, common)]
    elif kind == "application" and profile.endswith("DTLS/SCTP"):
        ports = map(_SCTP_PORT.fullmatch, [formats] if profile == "DTLS/SCTP" else lines)
        if not any(port and 0 < int(port[1]) < 65536 for port in ports):
            raise InvalidRequestError("The data-channel section of the SDP offer has no SCTP port.", param="sdp")
        section.lines = [lines[0], *_attributes(section, lines, common)]
    return section


def _attributes(section: Section, lines: list[str], common: list[str]) -> Iterator[str]:
    """The attribute lines that aiortc needs, checked; transport attributes may stand above the first section."""
    for name, form in _ATTRIBUTES.items():
        prefix = f"a={name}:"
        found = [line for line in lines if line.startswith(prefix)] or [
            line for line in common if line.startswith(prefix)
        ]
        if not found:
            raise InvalidRequestError(f"The {section.kind} section of the SDP offer has no a={name}.", param="sdp")
        if not all(form.fullmatch(line[len(prefix) :]) for line in found):
            raise InvalidRequestError(f"a={name} of the SDP offer is malformed: {found[0][:100]!r}", param="sdp")
        yield from found[:4] if name == "fingerprint" else found[:1]
    if section.kind == "audio":
        if "a=rtcp-mux" not in lines:
            raise InvalidRequestError("The audio section of the SDP offer lacks a=rtcp-mux.", param="sdp")
        yield next((line for line in lines if line[2:] in _DIRECTIONS), "a=sendrecv")
    for line in lines:
        if line[2:].partition(":")[0] in _KEPT:
            yield line
    yield from _candidates(lines)


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
    return (
        f"m={section.kind} 0 {section.profile} {section.formats}\r\n"
        f"c=IN IP4 0.0.0.0\r\na=mid:{section.mid}\r\na=inactive\r\n"
    )
