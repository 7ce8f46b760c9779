#!/usr/bin/env bash
# Sets up .venvs/NAME, a Python for Triton's models beside .venv; where nothing has changed since, does nothing.
# usage: engines.sh NAME…    for each NAME there is requirements/engines-NAME.txt, which gives the reasons:
#   cpu                    everything that the profile cpu needs
#   vllm whisper kokoro    one of its engines alone
#   xtts                   XTTS-v2, whose packages go with no other's
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for name in "$@"; do
    requirements=requirements/engines-$name.txt
    [ -f "$requirements" ] || {
        echo "there is no $requirements" >&2
        exit 2
    }
    # With the files that it names.
    files=("$requirements")
    for included in $(sed -n 's/^-r //p' "$requirements"); do
        files+=("requirements/$included")
    done
    venv=.venvs/$name
    # Triton's stub is made for one version of Python: this one's must be that of .venv, where the server is.
    # A moved project begins anew: both hold its path.
    fingerprint=$(cat "${files[@]}" "${BASH_SOURCE[0]}" .venv/pyvenv.cfg <(pwd) | sha256sum)
    [ "$(cat "$venv/ready" 2>/dev/null)" = "$fingerprint" ] && continue
    echo "Setting up $venv"
    rm -rf "$venv"
    .venv/bin/python -m venv "$venv"
    pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
    if torch=$(grep -hE '^torch==' "${files[@]}"); then
        pip install -q "$torch"
        pip uninstall -qq -y triton # comes with torch's CUDA builds; vLLM's CPU build mistakes it for a GPU's
    fi
    pip install -q --no-deps -r "$requirements"
    if [ -d "$venv"/lib/python3*/site-packages/torchaudio ]; then
        rm -f "$venv"/lib/python3*/site-packages/torchaudio/lib/*.so
    fi
    # The models import the project's packages; Triton's stub ignores PYTHONPATH.
    for packages in "$venv"/lib/python3*/site-packages; do
        pwd >"$packages/goassist.pth"
    done
    echo "$fingerprint" >"$venv/ready"
done
