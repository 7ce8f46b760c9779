"""A session whose language model calls functions that the client runs."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from orchestrator import notifications as told
from orchestrator.core.functions import NO_FUNCTIONS, Function, FunctionCall, Functions
from orchestrator.core.history import Item, Message
from orchestrator.core.pressure import Level
from orchestrator.errors import InvalidRequestError
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
        talk.llm.text, talk.llm.calls = "", [PARIS]
        ask(talk)
        await talk.settle()
        await talk.play(0.1)
        answer(talk, '{"celsius": 21}')
        talk.llm.text, talk.llm.calls = "It is 21 degrees.", []
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


async def test_a_response_that_is_cancelled_calls_nothing_any_more() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        ask(talk)
        talk.session.cancel_response()
        await talk.settle()
        assert talk.state == "listening"
        assert not talk.said(told.FunctionCalled)


async def test_what_the_user_says_while_a_function_runs_is_answered() -> None:
    async with calls() as talk:
        talk.llm.text, talk.llm.calls = "", [PARIS]
        ask(talk)
        await talk.settle()
        await talk.play(0.1)
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
        roles = [message.role for message in talk.llm.prompts[-1][1:]]
        assert roles == ["user", "assistant", "tool", "user", "assistant"]
        assert talk.llm.prompts[-1][3].content == "21"


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
