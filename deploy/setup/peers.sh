#!/usr/bin/env bash
# Sets up the environment of one framework that is measured beside GoAssist; where nothing has changed, does nothing.
# usage: peers.sh PEER    its packages are in requirements/peers-PEER.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

peer=${1:?the name of a framework}
requirements=requirements/peers-$peer.txt
venv=.venvs/$peer
[ -f "$requirements" ] || {
    echo "there is no $requirements" >&2
    exit 2
}
fingerprint=$(cat "$requirements" "${BASH_SOURCE[0]}" .venv/pyvenv.cfg | sha256sum)
[ "$(cat "$venv/ready" 2>/dev/null)" = "$fingerprint" ] && exit 0
echo "Setting up $venv (about 800 MB)"
rm -rf "$venv"
.venv/bin/python -m venv "$venv"
"$venv/bin/python" -m pip --disable-pip-version-check --no-input install -q --no-deps -r "$requirements" || {
    rm -rf "$venv"
    echo "$peer could not be installed, so that it cannot be measured: pip's message is above. It needs a package index" >&2
    echo "(pip.conf or PIP_INDEX_URL) and 1 GB of disk. make bench measures GoAssist alone." >&2
    exit 1
}
echo "$fingerprint" >"$venv/ready"
