"""Where CTranslate2 finds cuBLAS: it opens `libcublas.so.12` by name, and pip's NVIDIA packages are on no path.

CUDA 13's cuBLAS has the functions that it calls, under another name: a link gives it the one that is looked for.
"""

import os
import subprocess
from pathlib import Path

LIBRARIES = ("libcublas", "libcublasLt")
SYSTEM = [Path("/usr/local/cuda/lib64")]
FOLDERS = "import sys; print(*sys.path, sep='\\n')"


def find(folders: list[Path], version: int) -> Path | None:
    """The folder among these, or of a package in them, that has cuBLAS of this version of CUDA."""
    for folder in folders:
        for place in (folder, *sorted(folder.glob("nvidia/*/lib"))):
            if all((place / f"{name}.so.{version}").is_file() for name in LIBRARIES):
                return place
    return None


def environment(python: str, links: Path) -> dict[str, str]:
    """This process's environment, with what `python` has of cuBLAS on its library path; links are made in `links`."""
    paths = os.environ.get("LD_LIBRARY_PATH", "")
    known = subprocess.run([python, "-c", FOLDERS], capture_output=True, text=True, check=False).stdout.splitlines()
    folders = [*(Path(each) for each in [*paths.split(":"), *known] if each), *SYSTEM]
    found: list[Path] = []
    if place := find(folders, 12):
        found = [place]
    elif place := find(folders, 13):
        for name in LIBRARIES:
            (links / f"{name}.so.12").symlink_to(place / f"{name}.so.13")
        found = [links, place]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join([*map(str, found), *filter(None, [paths])])}
