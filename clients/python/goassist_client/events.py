"""Events of the Realtime API as this client sees them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server event: its type, when it arrived (seconds on the client's clock), and all its fields."""

    type: str
    at_s: float
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """A field of the event, `default` where it has none."""
        return self.fields.get(name, default)
