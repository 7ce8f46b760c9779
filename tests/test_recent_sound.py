from orchestrator.recent_sound import SPARE_BYTES, RecentSound


def numbered(begin: int, count: int) -> bytes:
    """So many samples that tell where they are."""
    return b"".join((begin + index).to_bytes(2, "little") for index in range(count))


def test_what_came_since_a_sample_is_there_as_long_as_it_is_kept() -> None:
    sound = RecentSound(1_000)
    for begin in range(0, 60_000, 320):
        sound.add(numbered(begin, 320))
        oldest = max(0, sound.received - 1_000)
        assert sound.since(oldest) == numbered(oldest, sound.received - oldest)
    assert sound.received == 60_160
    assert sound.since(sound.received) == b""


def test_what_is_too_old_is_forgotten_and_the_rest_given() -> None:
    sound = RecentSound(1_000)
    for begin in range(0, 60_000, 320):
        sound.add(numbered(begin, 320))
        assert len(sound.since(0)) <= 2_000 + SPARE_BYTES
    assert sound.since(0).endswith(numbered(59_840, 320))


def test_what_is_forgotten_takes_no_memory_and_still_counts() -> None:
    sound = RecentSound(100)
    sound.add(bytes(200))
    sound.forget()
    assert sound.since(0) == b""
    assert sound.received == 100
