#!/usr/bin/env bash
# Sets up .venv and the machine for one purpose; where nothing has changed since, only a fingerprint is compared.
# usage: environment.sh demo | check | test
#   demo    what runs the agent on the embedded profile
#   check   what lints and type-checks
#   test    what every test needs: both, and a browser
set -euo pipefail

purpose=${1:?demo, check or test}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
python=.venv/bin/python
stamp=.venv/.ready-for-$purpose

# make demo and make test at once, in two terminals, take turns.
exec 9<pyproject.toml
flock 9

recorded() { sed -n "s/^$1 = //p" .venv/pyvenv.cfg 2>/dev/null || true; }

# .venv runs, lies where it was made (its scripts contain the path) and was made by the Python asked for, if any was.
venv_fits() {
    [ -x $python ] || return 1
    $python -c 'import sys; sys.exit(sys.version_info[:2] not in {(3, 11), (3, 12)})' 2>/dev/null || return 1
    [[ $(recorded command) == *" $root/.venv" ]] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(recorded executable)" = "$("$here/python.sh")" ]
}

browser() {
    local name
    for name in chromium chromium-browser google-chrome; do
        # Ubuntu's chromium-browser may be a script that only says to install a snap.
        if "$name" --version >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

loads() { "$chosen" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null; }

fingerprint=$(cat pyproject.toml requirements/{constraints,no-deps,turn-model}.txt "$here/environment.sh" | sha256sum)
turn_model=models/turn/smart-turn-v3.0.onnx
if venv_fits; then
    if [ -f $turn_model ] && [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ]; then
        exit 0
    fi
    chosen=$(recorded executable)
else
    chosen=$("$here/python.sh")
fi

packages=()
read -r version _ has_pip has_library _ < <("$here/python.sh" --probe "$chosen")
[ "$has_pip" = pip ] || packages+=("python$version-venv")
if [ "$purpose" != check ]; then
    [ "$has_library" = library ] || packages+=("libpython$version")
    loads libflite_cmu_us_slt.so.1 || packages+=(libflite1)
fi
if [ "$purpose" = test ]; then
    loads libatomic.so.1 || packages+=(libatomic1) # playwright's driver
    # Ubuntu's package only fetches a snap, which containers cannot run: there playwright brings a browser, below.
    grep -q '^ID=ubuntu' /etc/os-release || browser || packages+=(chromium)
fi
[ "${#packages[@]}" = 0 ] || "$here/packages.sh" "${packages[@]}"

if ! venv_fits; then
    echo "Creating .venv with $chosen"
    "$chosen" -m venv --clear "$root/.venv"
fi

extras=embedded,microphone
[ "$purpose" = demo ] || extras=$extras,dev
echo "Installing wheels into .venv: goassist[$extras]"
pip() { $python -m pip --disable-pip-version-check --no-input "$@"; }
# -qq: errors are shown; setuptools' general advice about editable installations is not.
pip install -qq -c requirements/constraints.txt -e ".[$extras]"
pip install -qq --no-deps -r requirements/no-deps.txt

[ -f $turn_model ] || "$here/turn_model.sh" $python

if [ "$purpose" = test ] && ! browser; then
    echo "Installing a browser for the tests"
    $python -m playwright install --with-deps chromium || {
        echo "No browser could be installed. Install Chromium or Google Chrome, so that one is in PATH, then repeat." >&2
        exit 1
    }
fi

echo "$fingerprint" >"$stamp"
if [ "$purpose" = test ]; then # covers the others
    cp "$stamp" .venv/.ready-for-demo
    cp "$stamp" .venv/.ready-for-check
fi
