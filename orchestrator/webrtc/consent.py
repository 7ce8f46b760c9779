"""Consent to send (RFC 7675): whether the client still answers checks, however long the way is."""

import random
import time
from collections.abc import Callable
from typing import Any

from aioice import stun
from aioice.ice import CandidatePair, Connection, StunProtocol

INTERVAL_S = 5.0  # between checks, times 0.8 to 1.2, at random (RFC 7675 section 5.1)
EXPIRES_S = 30.0


class Consent:
    """Asks through one ICE connection and waits for answers as long as consent lasts.

    aioice's own checks wait half a second, and six that are answered later end the call. `given` is called with where
    an authentic answer came from. Each check is a new transaction, whose number cannot be guessed, so no answer can be
    replayed.
    """

    def __init__(self, ice: Connection, given: Callable[[StunProtocol, tuple[str, int]], None]) -> None:
        self._ice = ice
        self._given = given
        self._given_at_s: float | None = None  # None until the first check: ICE has just succeeded
        self._next_at_s = 0.0
        self._asked: dict[bytes, tuple[StunProtocol, float]] = {}  # transaction → by whom it was sent, and when

    @property
    def expired(self) -> bool:
        """Whether there was no answer for so long that nothing may be sent any more."""
        return self._given_at_s is not None and time.monotonic() - self._given_at_s > EXPIRES_S

    def ask(self, pair: CandidatePair, *, at_once: bool = False) -> None:
        """To be called every second or so: checks where it is time to, or `at_once`."""
        now_s = time.monotonic()
        if self._given_at_s is None:
            self._given_at_s = now_s
        if now_s < self._next_at_s and not at_once:
            return
        self._next_at_s = now_s + INTERVAL_S * random.uniform(0.8, 1.2)
        for transaction, (protocol, asked_at_s) in list(self._asked.items()):
            if now_s - asked_at_s > EXPIRES_S:
                self._forget(transaction, protocol)
        request = self._ice.build_request(pair, nominate=False)
        request.add_message_integrity(self._password)
        pair.protocol.transactions[request.transaction_id] = self  # type: ignore[assignment]
        self._asked[request.transaction_id] = (pair.protocol, now_s)
        pair.protocol.send_stun(request, pair.remote_addr)

    def response_received(self, message: stun.Message, address: tuple[Any, ...]) -> None:
        """Take the answer to one of the checks, as aioice's transactions do."""
        asked = self._asked.get(message.transaction_id)
        if asked is None or message.message_class != stun.Class.RESPONSE:
            return
        if not message.check_message_integrity(self._password):
            return
        protocol, _ = asked
        self._forget(message.transaction_id, protocol)
        self._given_at_s = time.monotonic()
        self._given(protocol, (address[0], address[1]))

    @property
    def _password(self) -> bytes:
        assert self._ice.remote_password is not None  # there is no pair to ask before
        return self._ice.remote_password.encode()

    def _forget(self, transaction: bytes, protocol: StunProtocol) -> None:
        del self._asked[transaction]
        protocol.transactions.pop(transaction, None)
