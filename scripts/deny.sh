#!/usr/bin/env bash
# Runs cargo-deny with deny.toml. Warnings (several versions of one crate) are hidden: `cargo deny check` shows them.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh
exec "$(cargo_deny)" --log-level error --locked "$@"
