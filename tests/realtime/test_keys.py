"""Keys let in who may call."""

import pytest

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


def test_a_client_secret_cannot_make_others() -> None:
    keys = Keys(API_KEY)
    value, _ = keys.client_secret(None, lifetime_s=60)
    with pytest.raises(InvalidKeyError):
        keys.require_api_key(value)
