"""Keys let in who may call."""

import base64
import random

import pytest

from orchestrator.errors import InvalidRequestError
from orchestrator.realtime.keys import InvalidKeyError, Keys

API_KEY = "the-servers-own-key"
SESSION = {"type": "realtime", "instructions": "Be brief."}


def test_without_an_api_key_everybody_is_let_in() -> None:
    keys = Keys(None)
    assert keys.session_of(None) is None
    assert keys.session_of("sk-anything") is None
    assert keys.session_of("ek_nonsense.signature") is None
    keys.require_api_key(None)


@pytest.mark.parametrize("key", [None, "", "wrong", "ek_", "ek_a.b", "ek_äö.ü", API_KEY + "x", "ä"])
def test_with_an_api_key_no_other_key_is_taken(key: str | None) -> None:
    with pytest.raises(InvalidKeyError):
        Keys(API_KEY).session_of(key)


def test_the_api_key_opens_calls_and_makes_client_secrets() -> None:
    keys = Keys(API_KEY)
    assert keys.session_of(API_KEY) is None
    keys.require_api_key(API_KEY)


def test_a_client_secret_brings_its_session_to_any_process_with_the_same_key_until_it_expires() -> None:
    now = [1000.0]
    value, expires_at = Keys(API_KEY, clock=lambda: now[0]).client_secret(SESSION, lifetime_s=60)
    assert value.startswith("ek_")
    assert expires_at == 1060
    other = Keys(API_KEY, clock=lambda: now[0])
    assert other.session_of(value) == SESSION
    now[0] = 1060.0
    with pytest.raises(InvalidKeyError, match="expired"):
        other.session_of(value)


def test_a_client_secret_of_another_server_or_with_another_session_is_refused() -> None:
    value, _ = Keys("another-servers-key").client_secret(SESSION, lifetime_s=60)
    with pytest.raises(InvalidKeyError, match="not made by this server"):
        Keys(API_KEY).session_of(value)
    ours, _ = Keys(API_KEY).client_secret({**SESSION, "instructions": "Be long."}, lifetime_s=60)
    forged = value.partition(".")[0] + "." + ours.partition(".")[2]
    with pytest.raises(InvalidKeyError):
        Keys(API_KEY).session_of(forged)


def test_a_client_secret_carries_long_instructions_in_any_script() -> None:
    chosen = random.Random(1)
    words = ["".join(map(chr, chosen.choices(range(0x4E00, 0x9FA5), k=2))) for _ in range(2000)]
    text = "".join(chosen.choices(words, k=8192))
    session = {**SESSION, "instructions": text}
    value, _ = Keys(API_KEY).client_secret(session, lifetime_s=60)
    assert Keys(API_KEY).session_of(value) == session


def test_a_session_that_no_header_could_carry_is_refused() -> None:
    session = {**SESSION, "tools": [random.Random(1).randbytes(40_000).hex()]}
    with pytest.raises(InvalidRequestError, match="shorten the instructions") as caught:
        Keys(API_KEY).client_secret(session, lifetime_s=60)
    assert caught.value.param == "session"


def test_a_client_secret_of_a_version_that_wrote_it_otherwise_is_refused() -> None:
    keys = Keys(API_KEY)
    payload = b'{"exp":9999999999,"session":null}'
    body, signature = (
        base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (payload, keys._signature(payload))
    )
    with pytest.raises(InvalidKeyError, match="another version"):
        keys.session_of(f"ek_{body}.{signature}")


def test_a_client_secret_cannot_make_others() -> None:
    keys = Keys(API_KEY)
    value, _ = keys.client_secret(None, lifetime_s=60)
    with pytest.raises(InvalidKeyError):
        keys.require_api_key(value)
