"""The documents name what exists: links, paths, make targets, the README's tree and its table of settings."""

import re
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from orchestrator.settings import SECRETS, Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()
IGNORED = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line and line[0] != "#"]
TOP = sorted(
    path.name
    for path in ROOT.iterdir()
    # Of hidden folders only .ci is the project's; editors and caches make others.
    if path.is_dir() and (path.name[0] != "." or path.name == ".ci") and not any(fnmatch(path.name, i) for i in IGNORED)
)


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(document.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(target)

    assert lost == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_of_the_project_that_is_named_exists(document: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, TOP))})/[\w./-]*)`", document.read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    makefiles = "\n".join(path.read_text() for path in (ROOT / "Makefile", *ROOT.glob("*.mk")))
    targets = set(re.findall(r"^([a-z-]+):", makefiles, flags=re.MULTILINE))
    # In code only: 'make sure' is no target.
    named = re.findall(r"(?:`| {4}|^)make ([a-z-]+)", document.read_text(), flags=re.MULTILINE)

    assert set(named) <= targets


def tree_paths(tree: str) -> dict[str, str]:
    """The paths of an annotated tree, with their words: two spaces of indentation a level, names, two spaces, words."""
    paths: dict[str, str] = {}
    folders: list[str] = []
    for line in tree.splitlines():
        names, _, words = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        for name in names.split():
            paths["".join(folders) + name] = words.strip()
            if depth == 0 and "/" in name.rstrip("/"):
                paths[f"{name.split('/')[0]}/"] = words.strip()
        folders.append(names.split()[-1])
    return paths


def summed_up(paths: dict[str, str]) -> list[str]:
    """The folders that a tree tells of in words, without a file of theirs."""
    files = [path for path in paths if not path.endswith("/")]
    folders = [path for path, words in paths.items() if path.endswith("/") and words]
    return [folder for folder in folders if not any(file.startswith(folder) for file in files)]


def not_shown(paths: dict[str, str], modules: Iterable[str]) -> list[str]:
    """The modules that a tree neither names nor has in a folder that it sums up."""
    folders = tuple(summed_up(paths))
    return sorted(module for module in modules if module not in paths and not module.startswith(folders))


def readme_tree() -> dict[str, str]:
    found = re.search(r"## Layout\n.*?```text\n(.*?)```", README, flags=re.DOTALL)
    assert found, "README.md has a section Layout with a ```text block"
    return tree_paths(found[1])


def test_the_readmes_tree_names_only_what_exists() -> None:
    paths = readme_tree()

    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_readmes_tree_shows_every_top_level_folder() -> None:
    assert {f"{name}/" for name in TOP} - set(readme_tree()) == set()


def test_the_readmes_tree_shows_every_package_of_the_service() -> None:
    packages = {
        f"{path.parent.relative_to(ROOT).as_posix()}/" for path in (ROOT / "orchestrator").glob("*/__init__.py")
    }

    assert len(packages) > 4
    assert packages - set(readme_tree()) == set()


def test_the_readmes_tree_shows_every_module() -> None:
    modules = [
        path.relative_to(ROOT).as_posix()
        for folder in ("orchestrator", "engines", "benchmarks", "clients")
        for pattern in ("*.py", "*.js")
        for path in (ROOT / folder).rglob(pattern)
        if path.name != "__init__.py"
    ]

    assert len(modules) > 100
    assert not_shown(readme_tree(), modules) == []


def test_a_tree_shows_a_module_by_its_name_or_by_the_words_about_its_folder() -> None:
    paths = tree_paths("a/          words\n  one.py two.py   words\n  b/        words\n  c/\n    d/      words\n")

    shown = ["a/one.py", "a/two.py", "a/b/any.py", "a/c/d/any.py"]
    assert not_shown(paths, [*shown, "a/three.py", "a/c/any.py", "e.py"]) == ["a/c/any.py", "a/three.py", "e.py"]


def default_shown(name: str) -> str:
    field = Settings.model_fields[name]
    value = field.default
    if name == "model_repository":
        value = "model_repository"
    if name == "instructions":
        return "a short, friendly voice"
    return "" if value in (None, ()) else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_readmes_settings_are_those_of_the_code() -> None:
    rows = [
        f"| `{name.upper()}` | {default_shown(name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]

    missing = [row for row in rows if row not in README]
    assert missing == []
    assert len(re.findall(r"^\| `[A-Z_]+` \|", README, flags=re.MULTILINE)) == len(rows), "a row without a setting"


def test_no_secret_has_a_default() -> None:
    assert {name: Settings.model_fields[name].default for name in SECRETS} == dict.fromkeys(SECRETS)


def test_the_changelog_has_a_place_for_what_comes_and_an_entry_for_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)

    assert headings[0] == "Unreleased"
    # Before its first release a project has nothing else.
    assert headings[1:] == [] or headings[1] == version
