#!/usr/bin/env bash
# Puts the end-of-turn model, which the model `turn` serves, and its licence into models/turn/.
# usage: turn_model.sh PYTHON (its pip fetches the wheel)
set -euo pipefail

python=${1:?a Python with pip}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
file=smart-turn-v3.0.onnx

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m pip download -q --disable-pip-version-check --no-input --no-deps --require-hashes \
    -d "$scratch" -r requirements/turn-model.txt
"$python" -m zipfile -e "$scratch"/pipecat_ai-*.whl "$scratch/wheel"

mkdir -p models/turn
cp "$scratch"/wheel/pipecat_ai-*.dist-info/licenses/LICENSE models/turn/LICENSE
# Renamed into place last: an interrupted copy is never taken for the model.
cp "$scratch/wheel/pipecat/audio/turn/smart_turn/data/$file" "models/turn/.$file"
mv "models/turn/.$file" "models/turn/$file"
