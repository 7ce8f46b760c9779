#!/usr/bin/env bash
# Resolves pyproject.toml anew in an environment of its own and writes requirements/constraints.txt.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$("$here/python.sh")" -m venv "$scratch"
"$scratch/bin/python" -m pip install -q -e ".[embedded,microphone,dev]"
{
    sed -n '/^#/p' requirements/constraints.txt
    # pyproject.toml itself pins pocketsphinx, differently for each Python.
    "$scratch/bin/python" -m pip freeze --exclude-editable | sed '/^pocketsphinx==/d'
} >"$scratch/constraints.txt"
cp "$scratch/constraints.txt" requirements/constraints.txt
