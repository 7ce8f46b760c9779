"""A session whose language model calls functions that the client runs."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.core import events as core
from orchestrator.core.functions import NO_FUNCTIONS, Function, FunctionCall, Functions
from orchestrator.core.history import Item, Message
from orchestrator.core.pressure import Level
from orchestrator.errors import InvalidRequestError
from orchestrator.triton.prompt import ChatTemplate
from tests.scripted import Call, call, waiting

WEATHER = Function(
    "get_weather", "The weather in a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)
OFFERED = Functions((WEATHER,))
PARIS = FunctionCall("call_1", "get_weather", '{"city": "Paris"}')
ROME = FunctionCall("call_2", "get_weather", '{"city": "Rome"}')


def ask(talk: Call, text: str = "What is the weather in Paris?") -> None:
    talk.session.add_item(Item(f"question_{len(talk.llm.prompts)}", "user", text))
    talk.session.request_response()


def answer(talk: Call, output: str, call_id: str = PARIS.call_id) -> None:
    talk.session.add_item(Item(f"output_{len(talk.told)}", "tool", output, call_id=call_id))


async def called(talk: Call) -> None:
    """A question about Paris whose answer only calls, up to its end."""
    talk.llm.text, talk.llm.calls = "", [PARIS]
    ask(talk)
    await talk.settle()
    assert talk.state == "listening"
    talk.llm.text, talk.llm.calls = "It is 21 degrees.", []


def order(talk: Call, *kinds: type[told.Notification]) -> list[str]:
    return [type(each).__name__ for each in talk.told if isinstance(each, kinds)]


CONFIG = replace(waiting(), functions=OFFERED)


def calls() -> AbstractAsyncContextManager[Call]:
    """A call whose client offers the function."""
    return call(CONFIG)


async def test_a_response_that_only_calls_ends_without_a_sound_and_leaves_no_empty_message() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        ask(talk)
        await talk.settle()
        await talk.play(0.1)
        assert talk.state == "listening"
        assert talk.playout.played_s == 0
        (called,) = talk.said(told.FunctionCalled)
        assert (called.item.call_id, called.item.function, called.item.text) == (
            "call_1",
            "get_weather",
            PARIS.arguments,
        )
        assert called.previous_item_id == "question_0"
        (finished,) = talk.said(told.ResponseFinished)
        assert (finished.status, finished.text) == ("completed", "")
        assert [item.role for item in talk.session.history] == ["user", "assistant"]
        assert talk.llm.offered == [OFFERED]


async def test_what_came_of_a_call_is_what_the_next_response_is_made_of() -> None:
    async with calls() as talk:
        await called(talk)
        answer(talk, '{"celsius": 21}')
        talk.session.request_response()
        await talk.settle()
        await talk.play(0.1)
        assert talk.state == "speaking"
        assert talk.llm.prompts[-1][1:] == [
            Message("user", "What is the weather in Paris?"),
            Message("assistant", "", calls=(PARIS,)),
            Message("tool", '{"celsius": 21}', call_id="call_1"),
        ]


async def test_what_is_said_before_a_call_is_spoken_and_the_answer_to_it_waits_for_its_end() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "Let me look that up.", [PARIS, ROME]
        ask(talk)
        await talk.settle()
        await talk.play(0.1)
        assert talk.state == "speaking"
        assert [each.item.call_id for each in talk.said(told.FunctionCalled)] == ["call_1", "call_2"]
        first = talk.said(told.FunctionCalled)[0]
        assert first.previous_item_id == talk.said(told.ResponseStarted)[0].item_id
        assert order(talk, told.ResponseText, told.FunctionCalled, told.ResponseFinished)[-3:] == [
            "FunctionCalled", "FunctionCalled", "ResponseFinished",
        ]  # fmt: skip
        answer(talk, "21")
        answer(talk, "25", "call_2")
        talk.llm.text, talk.llm.calls = "21 in Paris and 25 in Rome.", []
        talk.session.request_response()
        await talk.settle()
        assert len(talk.llm.prompts) == 1, "it talks over itself"
        await talk.play(2.0)
        assert len(talk.llm.prompts) == 2
        assert talk.llm.prompts[-1][-3:] == [
            Message("assistant", "Let me look that up. ", calls=(PARIS, ROME)),
            Message("tool", "21", call_id="call_1"),
            Message("tool", "25", call_id="call_2"),
        ]


async def test_a_prepared_answer_calls_nothing_before_the_turn_ends() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what is the weather in paris")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        assert len(talk.llm.prompts) == 1
        assert not talk.said(told.FunctionCalled)
        await talk.hear(0.4, voice=False)
        assert order(talk, told.ResponseStarted, told.FunctionCalled, told.ResponseFinished) == [
            "ResponseStarted", "FunctionCalled", "ResponseFinished",
        ]  # fmt: skip
        assert len(talk.llm.prompts) == 1


async def test_a_prepared_call_is_dropped_without_a_trace_when_the_speaker_goes_on() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what is the weather in")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        await talk.hear(0.2, voice=True)
        assert len(talk.said(told.SpeculationDropped)) == 1
        assert not talk.said(told.FunctionCalled)
        assert talk.memory == []


async def test_what_the_user_says_while_a_function_runs_is_answered() -> None:
    async with calls() as talk:
        await called(talk)
        talk.llm.text, talk.llm.calls = "A moment, please.", []
        ask(talk, "Are you still there?")
        await talk.settle()
        assert talk.llm.prompts[-1][-2:] == [
            Message("tool", "The result is not there yet.", call_id="call_1"),
            Message("user", "Are you still there?"),
        ]
        await talk.play(3.0)
        answer(talk, "21")
        talk.session.request_response()
        await talk.settle()
        assert talk.llm.prompts[-1][-3:] == [
            Message("user", "Are you still there?"),
            Message("assistant", "A moment, please. ", calls=(PARIS,)),
            Message("tool", "21", call_id="call_1"),
        ], "what there is to be answered comes last"


async def test_an_output_of_no_call_is_refused() -> None:
    async with calls() as talk:
        with pytest.raises(InvalidRequestError, match="no function call 'call_9'") as refused:
            answer(talk, "21", "call_9")
        assert refused.value.param == "item.call_id"
        assert talk.memory == []


async def test_a_response_may_be_asked_for_with_other_functions_or_none() -> None:
    async with calls() as talk:
        talk.session.add_item(Item("question", "user", "Hello."))
        talk.session.request_response(config=replace(CONFIG, functions=NO_FUNCTIONS))
        await talk.settle()
        assert talk.llm.offered == [NO_FUNCTIONS]
        assert talk.session.config.functions == OFFERED


async def test_under_pressure_nothing_is_called() -> None:
    async with calls() as talk:
        for level, offered in ((Level.TOOL_REFUSE, NO_FUNCTIONS), (Level.NORMAL, OFFERED)):
            talk.session.pressed(level)
            ask(talk)
            await talk.settle()
            assert talk.llm.offered[-1] == offered
            talk.session.cancel_response()
            await talk.settle()


async def test_a_client_that_offers_functions_in_a_pause_has_the_answer_prepared_anew() -> None:
    async with call() as talk:
        talk.asr.prepare = lambda utterance: setattr(utterance, "text", "what is the weather in paris")
        await talk.hear(0.5, voice=True)
        await talk.hear(0.3, voice=False)
        talk.session.configure(CONFIG)
        assert len(talk.said(told.SpeculationDropped)) == 1
        await talk.hear(0.4, voice=False)
        assert talk.llm.offered[-1] == OFFERED


ESTIMATE = ChatTemplate()


def count_tokens(talk: Call) -> None:
    """As a model's tokenizer does."""

    def counted(messages: Sequence[Message], functions: Functions = NO_FUNCTIONS) -> int:
        return ESTIMATE.count_messages(messages) + ESTIMATE.count_functions(functions)

    talk.llm.count_tokens = counted  # type: ignore[method-assign]


async def speaks(talk: Call) -> None:
    """The user makes a sound that comes to nothing."""
    turn = talk.session.next_turn()
    talk.session.deliver(core.SpeechStarted(turn))
    await talk.settle()
    talk.session.deliver(core.TurnEnded(turn, ""))
    await talk.settle()
    await talk.play(0.1)


async def test_a_result_reaches_the_model_though_a_summary_stands_for_its_call() -> None:
    async with calls() as talk:
        count_tokens(talk)
        await called(talk)
        for number in range(7):
            ask(talk, f"{number} " + "word " * 800)
            await talk.settle()
            await talk.play(3)
        assert talk.session.history.summary
        answer(talk, "RESULT")
        talk.session.request_response()
        await talk.settle()
        *_, with_call, result = talk.llm.prompts[-1]
        assert with_call.calls == (PARIS,)
        assert (result.role, result.content) == ("tool", "RESULT")


@pytest.mark.parametrize("characters", [11_000, 32_000])
async def test_a_long_result_is_not_left_out(characters: int) -> None:
    async with calls() as talk:
        count_tokens(talk)
        for number in range(10):
            talk.session.history.add(Item(f"u{number}", "user", "x" * 2_000))
            talk.session.history.add(Item(f"a{number}", "assistant", "y" * 400))
        await called(talk)
        answer(talk, "RESULT" + "z" * characters)
        talk.session.request_response()
        await talk.settle()
        assert any(message.content.startswith("RESULT") for message in talk.llm.prompts[-1])


async def test_functions_that_leave_no_room_for_a_conversation_are_refused() -> None:
    many = Functions(tuple(Function(f"f{number}", "d" * 220) for number in range(100)))
    async with calls() as talk:
        count_tokens(talk)
        for config in (replace(CONFIG, functions=many), replace(CONFIG, instructions="word " * 8_000)):
            with pytest.raises(InvalidRequestError, match="6500 are allowed"):
                talk.session.configure(config)
            with pytest.raises(InvalidRequestError, match="6500 are allowed"):
                talk.session.request_response(config=config)
        assert talk.session.config == CONFIG
        assert not talk.llm.prompts


async def test_speech_within_the_frame_after_a_call_does_not_have_it_made_again() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        ask(talk)
        await talk.settle()  # and no frame is played
        await speaks(talk)
        assert len(talk.said(told.FunctionCalled)) == 1


async def test_an_answer_that_is_overtaken_before_its_first_sound_has_called_nothing() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "Let me look.", [PARIS]
        talk.llm.go_on.clear()
        ask(talk)
        await talk.settle()
        turn = talk.session.next_turn()
        talk.session.deliver(core.SpeechStarted(turn))
        await talk.settle()
        assert not talk.said(told.FunctionCalled)
        assert [item.call_id for item in talk.session.history] == [None, None]
        talk.llm.go_on.set()
        talk.session.deliver(core.TurnEnded(turn, ""))
        await talk.settle()
        await talk.play(0.1)
        assert order(talk, told.ResponseStarted, told.FunctionCalled, told.ResponseFinished) == [
            "ResponseStarted", "ResponseFinished", "ResponseStarted", "FunctionCalled", "ResponseFinished",
        ]  # fmt: skip


async def test_an_answer_that_was_overtaken_as_it_began_to_sound_is_begun_anew_without_its_calls() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "Let me look.", [PARIS]
        ask(talk)
        await talk.settle()
        assert len(talk.said(told.FunctionCalled)) == 1
        await speaks(talk)
        assert talk.llm.offered == [OFFERED, NO_FUNCTIONS]


async def test_a_call_that_comes_while_its_answer_is_cancelled_is_not_made() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "Let me look.", [PARIS]
        talk.llm.go_on.clear()
        talk.llm.leaving = asyncio.Event()
        await talk.answer("And Rome?")
        talk.session.cancel_response()
        talk.llm.go_on.set()
        await talk.settle()
        talk.llm.leaving.set()
        await talk.settle()
        assert talk.state == "listening"
        assert not talk.said(told.FunctionCalled)


async def test_an_item_comes_after_one_that_the_client_knows() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        talk.llm.go_on.clear()
        ask(talk)
        await talk.settle()
        talk.session.add_item(Item("meanwhile", "user", "And Rome?"))
        assert talk.said(told.ItemAdded)[-1].previous_item_id == "question_0"
        talk.llm.go_on.set()
        await talk.settle()
        assert talk.said(told.FunctionCalled)[0].previous_item_id == "meanwhile"


async def test_ids_that_a_server_uses_again_become_others() -> None:
    async with calls() as talk:
        await called(talk)
        answer(talk, "21")
        for call_id in (PARIS.call_id, "x" * 65):  # some servers keep more in it than a name
            talk.llm.text, talk.llm.calls = "", [replace(ROME, call_id=call_id)]
            ask(talk)
            await talk.settle()
        ids = [each.item.call_id for each in talk.said(told.FunctionCalled)]
        assert len(set(ids)) == 3
        assert ids[-1] == "x" * 65
        talk.llm.calls = []
        ask(talk)
        await talk.settle()
        results = [message.content for message in talk.llm.prompts[-1] if message.role == "tool"]
        assert results == ["21", "The result is not there yet.", "The result is not there yet."]
        with pytest.raises(InvalidRequestError, match="already"):
            talk.session.add_item(Item("again", "assistant", "{}", call_id=ids[0], function="get_weather"))


async def test_brevity_under_pressure_cuts_no_call() -> None:
    async with calls() as talk:
        talk.session.pressed(Level.VERBOSITY_REDUCE)
        ask(talk)
        await talk.settle()
        assert talk.llm.offered == [OFFERED]
        assert talk.llm.limits == [None]
