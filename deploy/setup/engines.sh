#!/usr/bin/env bash
# Sets up .venvs/ENGINE, the Python of one engine that has its own; where nothing has changed since, does nothing.
# usage: engines.sh ENGINE…    for each ENGINE there is requirements/engines-ENGINE.txt, which gives the reasons
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for engine in "$@"; do
    requirements=requirements/engines-$engine.txt
    [ -f "$requirements" ] || {
        echo "there is no $requirements" >&2
        exit 2
    }
    venv=.venvs/$engine
    # Triton's stub is made for one version of Python: this one's must be that of .venv, where the server is.
    fingerprint=$(cat "$requirements" "${BASH_SOURCE[0]}" .venv/pyvenv.cfg | sha256sum)
    [ "$(cat "$venv/ready" 2>/dev/null)" = "$fingerprint" ] && continue
    echo "Setting up $venv"
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
    if torch=$(grep -E '^torch==' "$requirements"); then
        pip install -q "$torch"
        pip uninstall -qq -y triton # comes with torch's CUDA builds; vLLM's CPU build mistakes it for a GPU's
    fi
    pip install -q --no-deps -r "$requirements"
    if [ -d "$venv"/lib/python3*/site-packages/torchaudio ]; then
        rm -f "$venv"/lib/python3*/site-packages/torchaudio/lib/*.so
    fi
    echo "$fingerprint" >"$venv/ready"
done
