import asyncio

from orchestrator.backlog import PIECE_BYTES, Backlog


class Judge:
    """Hears pieces; has judged one when told so."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.judged = 0
        self.backlog = Backlog(hear=self.heard.append, behind=lambda: self.judged < len(self.heard))

    def judge(self) -> None:
        self.judged += 1
        self.backlog.catch_up()


def test_sound_that_comes_as_it_is_spoken_is_heard_at_once() -> None:
    judge = Judge()
    for frame in (b"\1\0" * 320, b"\2\0" * 320):
        judge.backlog.add(frame)
    assert judge.heard == [b"\1\0" * 320, b"\2\0" * 320]


def test_what_comes_all_at_once_is_heard_in_pieces_each_after_the_one_before_was_judged() -> None:
    judge = Judge()
    sound = bytes(range(256)) * (3 * PIECE_BYTES // 256)
    judge.backlog.add(sound)
    assert [len(piece) for piece in judge.heard] == [PIECE_BYTES]
    judge.backlog.add(b"\7\0")  # what comes later waits its turn
    for _ in range(4):
        judge.judge()
    assert b"".join(judge.heard) == sound + b"\7\0"
    assert max(map(len, judge.heard)) == PIECE_BYTES


def test_frames_that_a_network_held_back_are_heard_no_further_ahead_of_the_judge_than_a_piece() -> None:
    judge = Judge()
    frames = [bytes([number]) * 640 for number in range(40)]
    for frame in frames:
        judge.backlog.add(frame)
    assert b"".join(judge.heard) == b"".join(frames[:5])
    unjudged = [0]
    while judge.judged < len(judge.heard):
        judge.judge()
        unjudged.append(sum(map(len, judge.heard[judge.judged :])))
    assert max(unjudged) == PIECE_BYTES
    assert b"".join(judge.heard) == b"".join(frames)
    judge.backlog.add(frames[0])
    assert judge.heard[-1] == frames[0], "what comes promptly again is heard at once"


async def test_it_is_empty_once_the_last_piece_was_judged() -> None:
    judge = Judge()
    judge.backlog.add(b"\0" * 2 * PIECE_BYTES)
    emptied = asyncio.create_task(judge.backlog.emptied())
    judge.judge()
    await asyncio.sleep(0)
    assert not emptied.done()
    judge.judge()
    await asyncio.wait_for(emptied, 5)


async def test_what_is_forgotten_is_not_waited_for() -> None:
    judge = Judge()
    judge.backlog.add(b"\0" * 3 * PIECE_BYTES)
    emptied = asyncio.create_task(judge.backlog.emptied())
    await asyncio.sleep(0)
    judge.judged = 1  # as where the voice stream is closed
    judge.backlog.forget()
    await asyncio.wait_for(emptied, 5)
    assert len(judge.heard) == 1
