"""The processes of a server, from /proc."""

import asyncio
from pathlib import Path


def server_process(grpc_url: str) -> int:
    """The id of the tritonserver at this address."""
    option = f"--grpc-port={grpc_url.rpartition(':')[2]}"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode().split("\0")
        except FileNotFoundError:
            continue
        if option in command and command[0].endswith("tritonserver"):
            return int(folder.name)
    raise AssertionError(f"no tritonserver with {option}")


def descendants(ancestor: int) -> dict[int, str]:
    """The names of all processes that `ancestor` or its children have started, by id."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
        except FileNotFoundError:
            continue
        parents[int(folder.name)], names[int(folder.name)] = int(rest.split()[1]), name
    found = {ancestor}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return {pid: names[pid] for pid in found - {ancestor}}
        found |= more


def running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


async def until_ended(pids: set[int], timeout_s: float) -> None:
    """Return once none of the processes runs."""
    async with asyncio.timeout(timeout_s):
        while any(map(running, pids)):
            await asyncio.sleep(0.05)
