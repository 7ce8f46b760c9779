"""`goassist models`: download the models' weights, and show which are there."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from orchestrator.errors import ConfigurationError
from orchestrator.hub.catalogue import CATALOGUE, DEFAULT_PROFILE, PROFILES, Weights, chosen
from orchestrator.hub.client import DEFAULT_ENDPOINT, DownloadError, Hub
from orchestrator.hub.files import HubFile, Snapshot
from orchestrator.hub.folder import Folder, locked
from orchestrator.settings import load_settings

# Left free on the disk, for everything else that the machine does.
RESERVE_BYTES = 10**9
# By this Triton too learns that the operator has accepted a licence with conditions.
ACCEPTED_BY_ENVIRONMENT = {"xtts": "XTTS_LICENSE_ACCEPTED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `goassist models` takes."""
    parser.description = (
        "The weights that the models need, by the profile of the model repository. They come from the Hugging Face hub "
        "(HF_ENDPOINT names a mirror, HF_TOKEN a token) into the folder models/ beside the model repository."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    show = actions.add_parser("list", help="show the models, their licences and sizes, and which are there")
    pull = actions.add_parser(
        "pull",
        help="download models",
        description="Download the weights of a profile, or of the models named. What is there is not downloaded again; "
        "what was interrupted goes on where it ended; what arrives is checked.",
    )
    pull.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(CATALOGUE))
    pull.add_argument(
        "--accept-license",
        action="append",
        default=[],
        metavar="MODEL",
        help="you have read the conditions of that model's licence and accept them",
    )
    for action in (show, pull):
        action.add_argument(
            "--profile", help=f"{', '.join(PROFILES)} (default of pull: {DEFAULT_PROFILE}, if no model is named)"
        )
        action.add_argument("--into", type=Path, metavar="FOLDER", help="where they are (default: models/)")


def run(args: argparse.Namespace) -> int:
    """Carry out `goassist models`; returns the exit status. DownloadError and ConfigurationError say what is wrong."""
    into = args.into or load_settings().model_repository.resolve().parent / "models"
    if args.action == "list":
        _list(chosen(list(CATALOGUE) if args.profile is None else [], args.profile), into)
    else:
        _pull(chosen(args.models, args.profile), into, accepted=set(args.accept_license))
    return 0


def _list(weights: Iterable[Weights], into: Path) -> None:
    _tell(f"{'MODEL':30}{'FOR':6}{'PROFILES':10}{'LICENCE':12}{'SIZE':>9}  STATE")
    for each in weights:
        folder = Folder(into / each.name)
        here = folder.bytes_here()
        complete = here > 0 and folder.is_complete(each.patterns)
        state = "here" if complete else f"{size_of(here)} here, incomplete" if here else "not here"
        profiles = ",".join(name for name, names in PROFILES.items() if each.name in names and name != "embedded")
        total = size_of(here if complete else each.size)
        _tell(f"{each.name:30}{each.model:6}{profiles or '-':10}{each.license:12}{total:>9}  {state}")
    _tell(f"folder: {into}")


def _pull(weights: list[Weights], into: Path, *, accepted: set[str]) -> None:
    for each in weights:
        variable = ACCEPTED_BY_ENVIRONMENT.get(each.name, "")
        if each.conditions and each.name not in accepted and os.environ.get(variable) not in ("1", "true"):
            raise ConfigurationError(f"{each.conditions} If you accept this, add --accept-license {each.name}.")
    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true"):
        raise DownloadError("HF_HUB_OFFLINE forbids downloads: unset it, or copy the folder models/ from elsewhere.")
    hub = Hub(os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT, os.environ.get("HF_TOKEN"))
    try:
        with locked(into):
            plans = [_plan(hub, each, into) for each in weights]
            _check_space(sum(missing for plan in plans for _, missing in plan[2]), into)
            for folder, snapshot, files in plans:
                _fetch(hub, folder, snapshot, files)
    except OSError as error:
        raise DownloadError(f"{error.filename or into}: {error.strerror}") from error
    finally:
        hub.close()


Plan = tuple[Folder, Snapshot, list[tuple[HubFile, int]]]
"""A folder, what belongs into it, and the files that are not there with the bytes they still lack."""


def _plan(hub: Hub, weights: Weights, into: Path) -> Plan:
    folder = Folder(into / weights.name)
    snapshot = hub.snapshot(weights.repo, weights.revision, weights.patterns)
    lacking = [(file, missing) for file in snapshot.files if (missing := folder.missing_bytes(file)) is not None]
    missing = sum(size for _, size in lacking)
    _tell(f"{weights.name}: {f'{size_of(missing)} to download' if lacking else 'is here'} ({weights.license})")
    return folder, snapshot, lacking


def _check_space(needed: int, into: Path) -> None:
    free = shutil.disk_usage(into).free
    if needed and needed + RESERVE_BYTES > free:
        raise DownloadError(
            f"{into} has {size_of(free)} free, and {size_of(needed + RESERVE_BYTES)} are needed (with "
            f"{size_of(RESERVE_BYTES)} in reserve): make room, or name a folder on another disk with --into."
        )


def _fetch(hub: Hub, folder: Folder, snapshot: Snapshot, lacking: list[tuple[HubFile, int]]) -> None:
    for file, missing in lacking:
        # disable=None: bars on a terminal only.
        bar = tqdm(
            desc=f"{folder.path.name}/{file.path}",
            initial=file.size - missing,
            total=file.size,
            unit="B",
            unit_scale=True,
            disable=None,
        )
        on_terminal = not bar.disable  # closed, a bar is disabled too
        with bar, folder.part(file) as part:
            hub.download(snapshot, part, bar.update)
        folder.admit(file)
        if not on_terminal:
            _tell(f"{folder.path.name}/{file.path}: {size_of(file.size)}")
    folder.record(snapshot)


def size_of(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
