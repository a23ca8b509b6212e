# shellcheck shell=bash
# Tools of the checks that are built into the target folder, so that nothing of the user's is replaced. To be sourced.

cargo_deny_version=0.20.2
tools_folder=${CARGO_TARGET_DIR:-target}/tools

# The OpenID Connect provider that the tests of the sign-in run against: JavaScript, checked against its lock file.
oidc_provider_source=crates/ingest-api/tests/oidc
oidc_provider_folder=$tools_folder/oidc-provider

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

# It counts only once it is complete, and is made anew when the list of packages changes.
has_oidc_provider() {
    [[ -f $oidc_provider_folder/complete ]] &&
        cmp -s "$oidc_provider_source/package-lock.json" "$oidc_provider_folder/package-lock.json"
}

install_oidc_provider() {
    rm -rf "$oidc_provider_folder" &&
        mkdir -p "$oidc_provider_folder" &&
        cp "$oidc_provider_source"/package{,-lock}.json "$oidc_provider_folder/" &&
        (cd "$oidc_provider_folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) &&
        [[ -d $oidc_provider_folder/node_modules/oidc-provider ]] &&
        touch "$oidc_provider_folder/complete"
}
