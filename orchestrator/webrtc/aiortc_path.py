"""What aioice keeps private of the way to a client: which addresses it is known at, and which one is sent to."""

import logging
import time

import aioice.ice
from aioice import stun
from aioice.ice import CandidatePair, StunProtocol

_log = logging.getLogger(__name__)

MOVED_AFTER_S = 3.0  # without a word from where the client was, it is where it is heard from now

Address = tuple[str, int]


class Path:
    """Follows the client of one ICE connection.

    A NAT may give it another address in mid-call. The client itself does not know, so none of its checks nominates the
    new way; aioice would listen to one address and send to the other.
    """

    def __init__(self, ice: aioice.ice.Connection) -> None:
        self._ice = ice
        self._nominated = ice._nominated
        self._heard = False
        self._heard_where_nominated_s = time.monotonic()
        self._watch_checks()

    def was_heard(self) -> bool:
        """Whether anything came since the last time that only the client can have sent, and only then."""
        heard, self._heard = self._heard, False
        return heard

    def knows(self, address: Address) -> bool:
        """Whether the client has named that address, or sent an authentic check from it."""
        return any((each._network_host, each.port) == address for each in self._ice._remote_candidates)

    def alive(self, protocol: StunProtocol, address: Address) -> None:
        """The client has sent something from there that nobody could repeat: media, or an answer to a check."""
        self._heard = True
        self._came_from(protocol, address)

    def _watch_checks(self) -> None:
        incoming, complete = self._ice.check_incoming, self._ice.check_complete

        def check_incoming(message: stun.Message, address: Address, protocol: StunProtocol) -> None:
            incoming(message, address, protocol)
            self._came_from(protocol, address)  # no sign of life: whoever has seen a request can send it again

        def check_complete(pair: CandidatePair) -> None:
            complete(pair)
            if pair.state is CandidatePair.State.SUCCEEDED:
                self.alive(pair.protocol, pair.remote_addr)

        self._ice.check_incoming = check_incoming  # type: ignore[method-assign, assignment]
        self._ice.check_complete = check_complete  # type: ignore[method-assign]

    def _came_from(self, protocol: StunProtocol, address: Address) -> None:
        nominated = self._nominated.get(1)
        if nominated is None:
            return
        now_s = time.monotonic()
        if protocol is nominated.protocol and address == nominated.remote_addr:
            self._heard_where_nominated_s = now_s
        elif now_s - self._heard_where_nominated_s > MOVED_AFTER_S and (pair := self._proven(protocol, address)):
            _log.info("the client has another address now", extra={"address": f"{address[0]}:{address[1]}"})
            self._nominated[1] = pair
            self._heard_where_nominated_s = now_s

    def _proven(self, protocol: StunProtocol, address: Address) -> CandidatePair | None:
        """The pair to that address, if it has answered a check of ours.

        So nobody can turn what we send towards somebody else. Checks of the client's trigger ours (RFC 8445 section
        7.3.1.4).
        """
        for pair in self._ice._check_list:
            if pair.protocol is protocol and pair.remote_addr == address:
                return pair if pair.state is CandidatePair.State.SUCCEEDED else None
        return None
