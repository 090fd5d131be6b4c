# Sourced by the scripts beside it. `prepare deploy|full` makes .venv hold exactly the locked, hashed packages of
# requirements/<name>.lock and this project; it is quick when nothing has changed. Needs Python >= 3.11 and nothing else:
# where no C compiler for boards or for this computer is found, `deploy` gets requirements/compiler.lock too.

stq_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
stq_venv="${STQ_DEPLOY_VENV:-$stq_top/.venv}"

fail() {
    printf 'stq-deploy: %s\n' "$@" >&2
    exit 1
}

find_python() {
    local candidate newer
    for candidate in "${STQ_DEPLOY_PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    newer=$(python3 -c 'import sys; v = sys.version_info; print("%d.%d" % v[:2] if v[:2] >= (3, 14) else "")' 2>/dev/null)
    [ -z "$newer" ] || fail "Python $newer is too new: TensorFlow and h5py have no packages for it yet." \
        "Install Python 3.13 beside it (Debian and Ubuntu: apt install python3.13 python3.13-venv; macOS: brew install" \
        "python@3.13; with uv: uv python install 3.13), or name one: STQ_DEPLOY_PYTHON=/path/to/python3.13 $0"
    fail "no Python 3.11, 3.12 or 3.13 was found." \
        "Install one (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12)," \
        "or name it: STQ_DEPLOY_PYTHON=/path/to/python3.12 $0"
}

say() { # what is going on, also where nobody watches: installing takes minutes
    printf '%s\n' "$*" >&2
}

beating() { # COMMAND...: run it, with a line every 15 seconds, which ends with this script whatever ends that
    local status=0 pulse
    (
        seconds=0
        while sleep 15 && kill -0 $$ 2>/dev/null; do
            seconds=$((seconds + 15))
            say "  ... still at it, $seconds s"
        done
    ) &
    pulse=$!
    "$@" || status=$?
    kill "$pulse" 2>/dev/null || true
    wait "$pulse" 2>/dev/null || true
    return "$status"
}

install() { # LOCK: the packages of a lock file, by hash, nothing resolved anew
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$stq_venv/bin/python" --no-deps --require-hashes -r "$1"
    else
        "$stq_venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$1"
    fi
}

install_project() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$stq_venv/bin/python" --no-deps --no-build-isolation -e "$stq_top"
    else
        "$stq_venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
            -e "$stq_top"
    fi
}

has_compilers() { # for boards and for this computer: in STQ_DEPLOY_CC and CC, on the PATH, or zig in .venv
    "$stq_venv/bin/python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("ziglang") is None)' && return
    [ -n "${STQ_DEPLOY_CC:-}" ] || command -v arm-none-eabi-gcc >/dev/null 2>&1 ||
        "$stq_venv/bin/python" -c 'import gcc_arm_none_eabi' 2>/dev/null || return 1
    [ -n "${CC:-}" ] || command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1
}

prepare_compilers() {
    has_compilers && return
    say "No arm-none-eabi-gcc, or no C compiler for this computer: installing zig, which is both (411 MB, once) ..."
    beating install "$stq_top/requirements/compiler.lock" ||
        fail "installing zig failed." "Is the package index reachable? Or install compilers yourself (Debian and Ubuntu:" \
            "apt install gcc gcc-arm-none-eabi)."
}

prepare() {
    local lock="$stq_top/requirements/$1.lock" stamp="$stq_venv/.stq-$1" wanted
    # full.lock holds all of deploy.lock, so a full environment serves for deploying too.
    [ "$1" = deploy ] && [ -f "$stq_venv/.stq-full" ] && { prepare full; return; }
    wanted=$(cat "$lock" "$stq_top/pyproject.toml" | cksum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        prepare_compilers
        return
    fi
    local python
    python=$(find_python) || exit 1
    say "Setting up $stq_venv ($1 packages; once) ..."
    if [ ! -x "$stq_venv/bin/python" ]; then
        say "  making the virtual environment, with $python ..."
        if command -v uv >/dev/null 2>&1; then
            uv venv --quiet --python "$python" "$stq_venv" || fail "uv could not make $stq_venv."
        else
            "$python" -m venv "$stq_venv" ||
                fail "$python could not make a virtual environment." "Debian and Ubuntu: apt install python3-venv"
        fi
    fi
    say "  installing $(grep -c '==' "$lock") locked packages; this may take minutes ..."
    beating install "$lock" || fail "installing $lock failed." "Is the package index reachable? Try again; finished downloads are kept."
    say "  installing stq-deploy itself ..."
    install_project || fail "installing the project into $stq_venv failed."
    prepare_compilers
    printf '%s' "$wanted" > "$stamp"
    say "  done."
}
