#!/usr/bin/env bash
# Prints the Python for .venv: the first of python3.11, python3.12 and python3 that fits. PYTHON names one instead.
# Fits: 3.11 or 3.12 (Triton's stub breaks STRING inputs under numpy 2, and numpy 1.26 has no wheels for later ones),
# with a libpython for Triton's Python backend, at hand or in a Debian package.
set -euo pipefail

# The version, and whether ensurepip and libpython are there. The folders are those that orchestrator/triton searches.
probe='
import importlib.util, os, sys, sysconfig
version = "%d.%d" % sys.version_info[:2]
multiarch = sysconfig.get_config_var("MULTIARCH") or ""
folders = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib"), "/usr/lib"]
names = [os.path.join(f, m, "libpython%s.so.1.0" % version) for f in folders for m in ("", multiarch)]
has_library = any(os.path.isfile(name) for name in names)
print(version, os.path.realpath(sys.executable),
      "pip" if importlib.util.find_spec("ensurepip") else "no-pip",
      "library" if has_library else "no-library",
      "distribution" if sys.base_prefix == "/usr" else "own")
'

if [ "${1:-}" = --probe ]; then
    exec "$2" -c "$probe"
fi

seen=()
for library in library no-library; do
    for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
        # A shim may exist for a version that is not installed: only running it tells.
        found=$("$candidate" -c "$probe" 2>/dev/null) || continue
        read -r version path _ has_library origin <<<"$found"
        seen+=("$candidate is $version")
        case "$version $has_library $origin" in
            "3.11 $library "* | "3.12 $library "*)
                # The missing library of a Python that is not the distribution's own is in no package of it.
                if [ "$library" = library ] || [ "$origin" = distribution ]; then
                    echo "$path"
                    exit
                fi
                seen+=("but has no libpython$version.so.1.0: build it with --enable-shared")
                ;;
        esac
    done
done

{
    echo "GoAssist needs Python 3.11 or 3.12, and found none that fits."
    if [ "${#seen[@]}" -gt 0 ]; then
        printf '  %s\n' "${seen[@]}" | sort -u
    fi
    echo "Install one (Debian 12: apt-get install python3 python3-venv; Ubuntu 24.04: the same;"
    echo "Ubuntu 22.04: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python3.12 …"
} >&2
exit 1
