"""The words of one utterance: its sound goes to the recogniser, which is asked in each pause and at the end."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from orchestrator.echoed_beginning import EchoedBeginning
from orchestrator.errors import GoAssistError
from orchestrator.triton.asr import Transcript, Utterance


class _End(Enum):
    FINISH = auto()
    DROP = auto()


class Recognition:
    """Hears one `utterance`; `run` is its task, everything else is synchronous and takes effect in its order.

    `heard` takes the transcript of a flush or of the end. `paused` takes a flush's as well, unless the speaker has gone
    on since. `concluded` is called once, with the transcript of all that was said, or None where there is none;
    `failed` before it where the recogniser was lost. After `drop` nothing is told.
    """

    def __init__(
        self,
        utterance: Utterance,
        *,
        heard: Callable[[Transcript], None],
        paused: Callable[[Transcript], None],
        concluded: Callable[[Transcript | None], None],
        failed: Callable[[GoAssistError], None],
    ) -> None:
        self.pause = 0
        """Pauses and resumptions so far: tells whether what was asked in a pause still concerns it."""
        self._utterance = utterance
        self._heard, self._paused, self._concluded, self._failed = heard, paused, concluded, failed
        self._asked: asyncio.Queue[int | _End] = asyncio.Queue()  # a flush by the pause that it is for
        self._transcript: Transcript | None = None  # of all the speech so far, made in the present pause
        self._kept: tuple[EchoedBeginning, int] | None = None  # sound that the recogniser is still to get, since when
        self._over = False  # all is told

    def keep(self, beginning: EchoedBeginning, since: int) -> None:
        """The sound from sample `since` on is held back until the agent's echo in it is over."""
        self._kept = beginning, since

    def hear(self, pcm16_16k: bytes) -> None:
        """More sound, which `beginning` has as well."""
        if self._kept is None:
            self._utterance.send(pcm16_16k)
        elif self._kept[0].is_over:
            self._send_kept()

    def hesitated(self) -> None:
        """A silence began that may become a pause: the recogniser gets all that there is."""
        self.pause += 1
        self._send_kept()
        self._utterance.hand_over()

    def went_on(self) -> None:
        """The speaker goes on after a pause."""
        self.pause += 1
        self._transcript = None

    def ask(self) -> None:
        """In a pause: what was said so far?"""
        self._asked.put_nowait(self.pause)

    def finish(self) -> None:
        """The utterance is over."""
        self._send_kept()
        self._asked.put_nowait(_End.FINISH)

    def drop(self) -> None:
        """Nobody wants to know any more."""
        self._over = True
        self.pause += 1
        self._asked.put_nowait(_End.DROP)

    async def run(self) -> None:
        """From the first sound to the final transcript."""
        try:
            async with self._utterance:
                while isinstance(asked := await self._asked.get(), int):
                    await self._flush(asked)
                if asked is _End.FINISH:
                    await self._finish()
        except GoAssistError as error:
            if not self._over:
                self._failed(error)
                self._concluded(self._transcript)

    async def _flush(self, pause: int) -> None:
        if pause != self.pause:
            return
        transcript = await self._utterance.flush()
        if pause == self.pause:
            self._transcript = transcript
            self._heard(transcript)
            self._paused(transcript)

    async def _finish(self) -> None:
        if self._transcript is None:
            transcript = await self._utterance.finish()
            self._heard(transcript)
            self._over = True
            self._concluded(transcript)
        else:
            # The flush of the pause that ended the turn has heard all its words: nobody waits for the END's answer.
            self._over = True
            self._concluded(self._transcript)
            await self._utterance.finish()

    def _send_kept(self) -> None:
        if self._kept is not None:
            (beginning, since), self._kept = self._kept, None
            self._utterance.send(beginning.since(since))
