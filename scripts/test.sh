#!/usr/bin/env bash
# All checks, the quick ones first. Ends with the closing lines of the test runner.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$1"; }

step "formatting"
cargo fmt --all --check

step "dependencies: licences, bans, sources"
scripts/deny.sh check licenses bans sources

# An advisory is news about the world, not about this commit: it is shown here, and `make advisories` fails on it.
step "dependencies: known vulnerabilities"
limit="timeout 20"
command -v timeout >/dev/null || limit= # macOS has none
if GIT_TERMINAL_PROMPT=0 $limit git ls-remote -q https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    scripts/deny.sh check advisories || echo "Advisories found (see above): not a failure of this commit, but act on them."
else
    echo "Skipped: the advisory database (github.com/RustSec/advisory-db) cannot be reached from this machine."
fi

step "lints"
cargo clippy --locked --workspace --all-targets -- -D warnings

step "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
outcome=0
cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$log" || outcome=$?

step "the API against its OpenAPI document"
api_failure=
scripts/api-test.sh || { outcome=1 && api_failure="FAILED: the API against its OpenAPI document\n"; }

step "closing lines of the test runner"
awk -v failures="$api_failure" '/^ +(Running|Doc-tests) / { name = $0; sub(/^ +/, "", name) }
    /^test .* FAILED$/ { failures = failures "FAILED: " $2 " (" name ")\n" }
    /^test result:/ { print name ": " $0; passed += $4; failed += $6; ignored += $8 }
    END {
        printf "\n%s%s", failures, failures ? "\n" : ""
        printf "test result: %d passed; %d failed; %d ignored\n", passed, failed, ignored
    }' "$log"
exit "$outcome"
