"""What one model needs to ask another of the same server, whichever way it does: engines/bls.py and loopback.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from secrets import randbits
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError, EngineUnavailableError, InvalidInputError

# A request of the same stream with this parameter cancels the one whose id it names, and is answered by its final flag
# alone. Triton's own way, closing the gRPC stream, crashes servers before 2.57 under load (server issue 8034).
CANCEL_PARAMETER = "goassist_cancel"
# How texts of errors begin that are not the request's fault: engines/serving.py writes two of them, Triton the others.
_LOST_PREFIXES = ("UNAVAILABLE: ", "INTERNAL: ", "Failed to process the request(s)", "Stub process")

Outputs = dict[str, npt.NDArray[Any]]
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """A request's place in its sequence."""

    sequence_id: int
    first: bool
    last: bool

    def of_its_cancellation(self) -> "Part":
        """The place of the request that cancels this one: a model of sequences is given no request outside of one.

        It ends the sequence; where this request has done so itself, it is a sequence of its own.
        """
        if self.last:
            return Part(new_sequence_id(), first=True, last=True)
        return Part(self.sequence_id, first=False, last=True)


def new_sequence_id() -> int:
    """One that no other client of the server has: it is never 0, which stands for no sequence."""
    return randbits(63) | 1


class Inference(Protocol):
    """One request to a decoupled model. Iterate over its responses once, in one thread; cancel it from any."""

    def __iter__(self) -> Iterator[Outputs]:
        """Yield the outputs of each response that has any, until the last or until it is cancelled.

        InvalidInputError where the model refuses the request, EngineUnavailableError where it cannot serve it.
        """
        ...

    def cancel(self) -> None:
        """The answer is of no use any more: the model stops at its next chunk. Later calls do nothing."""
        ...


class Calls(Protocol):
    """A way to ask other models."""

    def __call__(
        self, model: str, inputs: Tensors, outputs: Sequence[str], *, cancel_inputs: Tensors, part: Part | None
    ) -> Inference:
        """A request with these inputs, of the shapes of the model's contract, for these outputs.

        `cancel_inputs` satisfy its required inputs at little cost: where the server cannot cancel such a request,
        another one with these does it, as engines/serving.py understands.
        """
        ...


def text(value: str) -> npt.NDArray[np.object_]:
    """A STRING [1] input."""
    return np.array([value.encode()], dtype=np.object_)


def refused(model: str, message: str) -> EngineError:
    """The error of ours for a model's, by its text alone: a stream has no code."""
    if message.startswith(_LOST_PREFIXES):
        return EngineUnavailableError(f"the model '{model}' failed: {message}")
    return InvalidInputError(f"{model}: {message}")
