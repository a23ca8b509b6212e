# shellcheck shell=bash
# Tools of the checks that are built into the target folder, so that nothing of the user's is replaced. To be sourced.

cargo_deny_version=0.20.2
tools_folder=${CARGO_TARGET_DIR:-target}/tools

# The program to use: the user's own, if it is of the same series, else ours.
cargo_deny() {
    local own
    own=$(command -v cargo-deny || true)
    if [[ -n $own && $("$own" --version) == "cargo-deny ${cargo_deny_version%.*}."* ]]; then
        echo "$own"
    else
        echo "$tools_folder/cargo-deny-$cargo_deny_version/bin/cargo-deny"
    fi
}

# Without optimisation: that takes a minute instead of many, and the check itself a few seconds either way.
install_cargo_deny() {
    CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --version "$cargo_deny_version" --locked --debug --quiet \
        --root "$tools_folder/cargo-deny-$cargo_deny_version"
}
