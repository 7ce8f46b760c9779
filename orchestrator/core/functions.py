"""Functions that a client offers to the language model, and the calls that the model makes of them.

The client runs them: it is told of a call, adds what came of it to the conversation, and asks for the next response.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Choice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def as_tool(self) -> dict[str, Any]:
        """The function as chat completions and chat templates take it."""
        parameters = self.parameters or {"type": "object", "properties": {}}
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


@dataclass(frozen=True, slots=True)
class Functions:
    """What a response may call. `only`: it is to call the function of that name; `choice` is 'required' then."""

    offered: tuple[Function, ...] = ()
    choice: Choice = "auto"
    only: str | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to call."""
        return bool(self.offered) and self.choice != "none"

    @property
    def names(self) -> frozenset[str]:
        """Of those that are offered."""
        return frozenset(each.name for each in self.offered)


NO_FUNCTIONS = Functions()


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The model wants a function run. `arguments` is the text of a JSON object; `call_id` is what its output names."""

    call_id: str
    name: str
    arguments: str
