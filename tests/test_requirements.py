"""The pins: pyproject.toml, requirements/ and what is installed agree."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
PIN = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    found = [PIN.match(line) for line in lines if line and not line.startswith("#")]
    return {canonical(pin[1]): pin[2] for pin in found if pin}


def pinned(name: str) -> dict[str, str]:
    lines = (REQUIREMENTS / name).read_text().splitlines()
    result = pins(lines)
    assert len(result) == len([line for line in lines if not line.startswith("#")]), f"{name} pins exactly, once each"
    return result


def declared() -> list[str]:
    """What pyproject.toml asks for in this Python; a marker there is only ever about the Python version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]


def test_the_constraints_repeat_every_exact_pin_of_the_project() -> None:
    constraints = pinned("constraints.txt")
    exact = pins([requirement for requirement in declared() if ";" not in requirement])

    assert len(exact) > 20
    assert {name: constraints.get(name) for name in exact} == exact


def test_a_wheel_installed_without_its_dependencies_is_not_constrained_as_well() -> None:
    assert not pinned("constraints.txt").keys() & pinned("no-deps.txt").keys()


def needed(requirements: list[str]) -> set[str]:
    """What these bring, and what that brings in turn, as far as it is meant for this Python and machine."""
    found: set[tuple[str, str]] = set()  # a package, and the extra of it that is asked for
    unread = [(Requirement(each), "") for each in requirements]
    while unread:
        requirement, asked_as = unread.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": asked_as}):
            continue
        for extra in {"", *requirement.extras}:
            part = canonical(requirement.name), extra
            if part not in found:
                found.add(part)
                brought = importlib.metadata.requires(requirement.name) or []
                unread += [(Requirement(each), extra) for each in brought]
    return {name for name, _ in found}


def test_everything_that_the_project_brings_is_pinned_and_has_its_pinned_version() -> None:
    by_python = {canonical(requirement.split("==")[0]) for requirement in declared() if ";" in requirement}
    wanted = pinned("constraints.txt") | pinned("no-deps.txt")
    brought = needed(declared())

    surprises = {
        name: version
        for name in brought - by_python
        if wanted.get(name) != (version := importlib.metadata.version(name))
    }

    assert len(brought) > 60
    assert surprises == {}, "run `make check`, or `make constraints` after a change of pyproject.toml"
