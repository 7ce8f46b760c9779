#!/usr/bin/env bash
# Installs Debian packages: as root, or through sudo where it asks for no password. Otherwise it names the command.
# usage: packages.sh PACKAGE…
set -euo pipefail

install=(apt-get install -y --no-install-recommends "$@")

if ! command -v apt-get >/dev/null; then
    echo "GoAssist needs what Debian calls: $*. This machine has no apt-get: install them its own way, then repeat." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "GoAssist needs Debian packages that only root can install. Run this, then repeat:" >&2
    echo "    sudo ${install[*]}" >&2
    exit 1
fi

echo "Installing Debian packages: $*"
quiet=(-qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
# One unreachable third-party source fails the update as a whole; whether the packages are there, the install says.
"${as_root[@]}" apt-get update "${quiet[@]}" || echo "apt-get update was not complete" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" "${quiet[@]}" >/dev/null
