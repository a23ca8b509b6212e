#!/usr/bin/env bash
# Installs what is missing of the things named: compiler, postgres, curl, python, node, oidc-provider, faketime, cargo-deny.
# With CADASTRE_NO_INSTALL=1 it only says what is missing, and how to get it, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

# A compiler without the C library's headers, as some images have it, is none.
has_compiler() {
    local program outcome=0
    program=$(mktemp)
    cc -x c -o "$program" - 2>/dev/null <<<$'#include <stdio.h>\nint main(void) { return puts(""); }' || outcome=1
    rm -f "$program"
    return "$outcome"
}

# The examples in docs/examples are shell scripts, and tests run them.
has_curl() { command -v curl >/dev/null; }

# With the module that makes virtual environments, which Debian packs apart.
has_python() {
    python3 -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The same places that the embedded-postgres crate looks at.
has_postgres() {
    local folder
    while IFS= read -r folder; do
        if [[ -x $folder/initdb && -x $folder/postgres ]]; then return 0; fi
    done < <(
        pg_config --bindir 2>/dev/null || true
        printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin \
            /usr/local/opt/postgresql@*/bin /Applications/Postgres.app/Contents/Versions/*/bin
        tr ':' '\n' <<<"$PATH"
    )
    return 1
}

# The provider of the sign-in's tests runs on it.
has_node() {
    command -v npm >/dev/null &&
        node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' 2>/dev/null
}

has_oidc-provider() { has_oidc_provider; }

# The test of schedules sets the clocks of processes with it, on Linux; the same places that it looks at.
has_faketime() {
    [[ $(uname -s) == Linux ]] || return 0
    compgen -G '/usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1' >/dev/null ||
        compgen -G '/usr/lib64/faketime/libfaketimeMT.so.1' >/dev/null ||
        compgen -G '/usr/lib/faketime/libfaketimeMT.so.1' >/dev/null ||
        compgen -G '/usr/local/lib/faketime/libfaketimeMT.so.1' >/dev/null
}

has_cargo-deny() { [[ -x $(cargo_deny) ]]; }

can_be_root() { [[ $(id -u) == 0 ]] || command -v sudo >/dev/null; }

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Runs a command whose many lines only matter when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

apt_is_fresh=
apt_install() {
    if [[ -z $apt_is_fresh ]]; then
        # One repository that is out of order must not stop the rest: the installation decides.
        quietly as_root apt-get update || echo "apt-get update failed: going on with what was known before." >&2
        apt_is_fresh=1
    fi
    # A machine that has just been started may be busy installing its updates: wait for that.
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y \
        --no-install-recommends "$@"
}

# Debian makes and starts a server of its own when the package is installed for the first time. Nobody asked for that:
# it is switched off for the moment of the installation, and the setting put back as it was.
apt_install_postgres() {
    local conf=/etc/postgresql-common/createcluster.conf
    apt_install postgresql-common
    if [[ ! -f $conf ]]; then
        apt_install postgresql
        return
    fi
    local before
    before=$(mktemp)
    cp "$conf" "$before"
    # shellcheck disable=SC2064 # the values of now
    trap "as_root cp '$before' '$conf'; rm -f '$before'" EXIT
    echo 'create_main_cluster = off' | as_root tee -a "$conf" >/dev/null
    apt_install postgresql
    as_root cp "$before" "$conf"
    rm -f "$before"
    trap - EXIT
}

# Debian 12 and Ubuntu 22.04 have an older one.
apt_install_node() {
    apt_install nodejs npm
    has_node || give_up "The Node.js of this distribution is too old:" node
}

how_to_get() {
    case $1-$system in
        compiler-apt) echo "apt-get install gcc libc6-dev" ;;
        compiler-brew) echo "xcode-select --install" ;;
        compiler-*) echo "install a C compiler (cc)" ;;
        postgres-apt) echo "apt-get install postgresql" ;;
        postgres-brew) echo "brew install postgresql@17" ;;
        postgres-*) echo "install PostgreSQL 14 or newer, with its server programs" ;;
        curl-apt) echo "apt-get install curl ca-certificates" ;;
        curl-*) echo "install curl" ;;
        python-apt) echo "apt-get install python3 python3-venv" ;;
        python-brew) echo "brew install python" ;;
        python-*) echo "install Python 3.11 or newer, with venv" ;;
        node-brew) echo "brew install node" ;;
        node-*) echo "install Node.js 20 or newer, with npm (https://nodejs.org)" ;;
        faketime-apt) echo "apt-get install faketime" ;;
        faketime-*) echo "install libfaketime (https://github.com/wolfcw/libfaketime)" ;;
        oidc-provider-*) echo "scripts/deps.sh oidc-provider" ;;
        cargo-deny-*) echo "scripts/deps.sh cargo-deny" ;;
    esac
}

install() {
    case $1-$installer in
        compiler-apt) apt_install gcc libc6-dev ;;
        postgres-apt) apt_install_postgres ;;
        postgres-brew) quietly brew install postgresql@17 ;;
        curl-apt) apt_install curl ca-certificates ;;
        python-apt) apt_install python3 python3-venv ;;
        python-brew) quietly brew install python ;;
        node-apt) apt_install_node ;;
        node-brew) quietly brew install node ;;
        faketime-apt) apt_install faketime ;;
        oidc-provider-*) quietly install_oidc_provider ;;
        cargo-deny-*) install_cargo_deny ;;
    esac
}

# Says what is missing, and fails.
give_up() {
    local need
    echo "$1" >&2
    shift
    for need in "$@"; do
        printf '  %-12s %s\n' "$need" "$(how_to_get "$need")" >&2
    done
    exit 1
}

if ! command -v cargo >/dev/null; then
    echo "Missing: Rust. Install it from https://rustup.rs, then try again." >&2
    exit 1
fi

missing=()
for need in "$@"; do
    "has_$need" || missing+=("$need")
done
if [[ ${#missing[@]} == 0 ]]; then
    exit 0
fi

# Where the commands of the advice come from, and what may install by itself.
if command -v apt-get >/dev/null; then
    system=apt
elif command -v brew >/dev/null; then
    system=brew
else
    system=other
fi
installer=$system
if [[ $system == apt ]] && ! can_be_root; then
    installer=none
fi

if [[ ${CADASTRE_NO_INSTALL:-} == 1 ]]; then
    give_up "Missing, and CADASTRE_NO_INSTALL=1 forbids installing:" "${missing[@]}"
fi

wanted=() impossible=() optional=
for need in "${missing[@]}"; do
    case $need-$installer in
        cargo-deny-* | oidc-provider-* | *-apt | postgres-brew | python-brew | node-brew) wanted+=("$need") ;;
        # The program downloads a server where it finds none.
        postgres-*) optional=postgres ;;
        *) impossible+=("$need") ;;
    esac
done
if [[ ${#impossible[@]} != 0 ]]; then
    reason="Missing, and this script cannot install it on this machine:"
    if [[ $installer == none ]]; then
        reason="Missing, and installing needs root, but there is no sudo. As root:"
    fi
    give_up "$reason" "${impossible[@]}" $optional
fi
if [[ -n $optional ]]; then
    echo "No PostgreSQL on this machine: the program will download one. Or: $(how_to_get postgres)"
fi
for need in ${wanted[@]+"${wanted[@]}"}; do
    echo "Installing what is missing: $need (takes a minute or a few)"
    install "$need"
done
