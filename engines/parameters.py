"""The parameters of a model's config.pbtxt."""

from collections.abc import Mapping

from engines.errors import ModelSetupError


class Parameters:
    """The `parameters` of config.pbtxt, typed. ModelSetupError names the parameter that is wrong."""

    def __init__(self, model: str, values: Mapping[str, str]) -> None:
        self._model = model
        self._values = values

    def text(self, name: str, default: str | None = None) -> str:
        """The value; without a default it is required."""
        value = self._values.get(name, default)
        if value is None:
            raise ModelSetupError(f"config.pbtxt of '{self._model}' must set the parameter '{name}'")
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.text(name, str(default))
        try:
            return int(value)
        except ValueError as error:
            raise ModelSetupError(f"parameter '{name}' of '{self._model}' must be a whole number: {value!r}") from error

    def number(self, name: str, default: float) -> float:
        """A number."""
        value = self.text(name, str(default))
        try:
            return float(value)
        except ValueError as error:
            raise ModelSetupError(f"parameter '{name}' of '{self._model}' must be a number: {value!r}") from error

    def flag(self, name: str, default: bool) -> bool:
        """'true' or 'false'."""
        value = self.text(name, str(default)).lower()
        if value not in ("true", "false"):
            raise ModelSetupError(f"parameter '{name}' of '{self._model}' must be true or false: {value!r}")
        return value == "true"
