import sys
from pathlib import Path

import pytest

from benchmarks.gpu_libraries import environment, find


def package(folder: Path, name: str, version: int) -> Path:
    """A folder like that of one of NVIDIA's packages, with cuBLAS of this version."""
    libraries = folder / "nvidia" / name / "lib"
    libraries.mkdir(parents=True)
    for library in ("libcublas", "libcublasLt"):
        (libraries / f"{library}.so.{version}").write_text(f"{library} {version}")
    return libraries


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A Python that has the packages in `site` and no others."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho {tmp_path / 'site'}\n")
    program.chmod(0o755)
    return str(program)


def test_cublas_is_found_in_a_package_and_beside_it(tmp_path: Path) -> None:
    libraries = package(tmp_path, "cublas", 12)
    assert find([tmp_path / "elsewhere", tmp_path], 12) == libraries
    assert find([libraries], 12) == libraries
    assert find([tmp_path], 13) is None


def test_half_of_cublas_is_not_enough(tmp_path: Path) -> None:
    (package(tmp_path, "cublas", 12) / "libcublasLt.so.12").unlink()
    assert find([tmp_path], 12) is None


def test_cuda_12s_cublas_goes_on_the_library_path(tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/known")
    package(tmp_path / "site", "cu13", 13)
    libraries = package(tmp_path / "site", "cublas", 12)
    assert environment(python, tmp_path)["LD_LIBRARY_PATH"] == f"{libraries}:/known"


def test_cuda_13s_cublas_is_given_the_name_that_is_looked_for(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    libraries, links = package(tmp_path / "site", "cu13", 13), tmp_path / "links"
    links.mkdir()
    assert environment(python, links)["LD_LIBRARY_PATH"] == f"{links}:{libraries}"
    assert (links / "libcublas.so.12").read_text() == "libcublas 13"
    assert (links / "libcublasLt.so.12").read_text() == "libcublasLt 13"


def test_without_cublas_the_path_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_libraries.SYSTEM", [])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/known")
    assert environment(sys.executable, tmp_path)["LD_LIBRARY_PATH"] == "/known"
