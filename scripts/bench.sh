#!/usr/bin/env bash
# Crawls a large simulated tenant into the register, twice, with every part in a process of its own, and prints time,
# requests and peak memory of each. Nothing is asserted: figures belong in docs/performance.md, with this command.
#
# USERS, GROUPS, SERVICE_PRINCIPALS, SEED: the tenant. THROTTLE=on|off: as Graph throttles (on), or not. LATENCY_MS.
set -euo pipefail
cd "$(dirname "$0")/.."

users=${USERS:-20000} groups=${GROUPS_COUNT:-5000} principals=${SERVICE_PRINCIPALS:-400} seed=${SEED:-1}
throttle=${THROTTLE:-on} latency=${LATENCY_MS:-0}
bin=${CARGO_TARGET_DIR:-target}/release
# The register is a new one each time, whatever database the caller works with.
unset DATABASE_URL CADASTRE_DATA_FOLDER CADASTRE_LISTEN
work=$(mktemp -d /tmp/cadastre-bench.XXXXXX)
chmod 711 "$work"
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT

# wait_for FILE PATTERN PID: the line that says a process is ready.
wait_for() {
    for _ in {1..1200}; do
        grep -qE "$2" "$1" 2>/dev/null && return
        kill -0 "$3" 2>/dev/null || { cat "$1" >&2; exit 1; }
        sleep 0.1
    done
    echo "not ready after two minutes:" >&2
    cat "$1" >&2
    exit 1
}

# peak PID: the most memory that a process ever used, in MB (Linux).
peak() { awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status" 2>/dev/null || echo '?'; }

"$bin/graph-sim" --users "$users" --groups "$groups" --service-principals "$principals" --seed "$seed" \
    --throttle "$throttle" --latency-ms "$latency" >"$work/sim" 2>&1 &
sim=$!
pids+=("$sim")
RUST_LOG=warn "$bin/cadastre" up --data-folder "$work/data" --listen 127.0.0.1:0 >"$work/up" 2>&1 &
up=$!
pids+=("$up")
wait_for "$work/sim" 'secret' "$sim"
wait_for "$work/up" '^Register' "$up"

field() { grep -iE "$1" "$work/sim" | head -n 1 | sed -E 's/.*[[:space:]=]([^[:space:]]+)$/\1/'; }
register=$(awk '/^Register/ { print $2 }' "$work/up")
graph=$(field 'base url|base_url')
CADASTRE_API_KEY=$("$bin/cadastre" keys create --data-folder "$work/data" --name bench --permission ingest --permission read 2>/dev/null)
export CADASTRE_API_KEY
cat >"$work/config.json" <<CONFIG
{"Graph": {"TenantId": "$(field 'tenant')", "ClientId": "$(field 'client id|client_id')", "ClientSecret": "$(field 'secret')",
 "BaseUrl": "$graph", "LoginBaseUrl": "$graph"}}
CONFIG

# Returns when what the crawl brought is in all views.
wait_for_views() {
    local answer
    for _ in {1..6000}; do
        answer=$(curl -fsS --config - "$register/api/ingest/refresh-views" \
            <<<"header = \"Authorization: Bearer $CADASTRE_API_KEY\"")
        [[ $answer =~ \"is(Stale|Running)\":true ]] || return 0
        sleep 0.1
    done
    echo "the views are still stale after ten minutes: $answer" >&2
    exit 1
}

echo "Tenant: $users users, $groups groups, $principals service principals, throttling $throttle, latency $latency ms"
for round in "first load" "unchanged again"; do
    began=$(date +%s.%N)
    "$bin/crawler-entra" --api-base-url "$register" --config-file "$work/config.json" --sync-service-principals \
        --sync-pim --progress none >"$work/report" 2>"$work/errors" &
    crawler=$!
    most='?'
    while kill -0 "$crawler" 2>/dev/null; do
        now=$(peak "$crawler")
        [[ -n $now && $now != '?' ]] && most=$now
        sleep 0.1
    done
    wait "$crawler" || { cat "$work/errors" "$work/report" >&2; exit 1; }
    crawled=$(date +%s.%N)
    wait_for_views
    viewed=$(date +%s.%N)
    echo
    echo "== $round"
    cat "$work/report"
    awk -v a="$began" -v b="$crawled" -v c="$viewed" -v crawler="$most" -v server="$(peak "$up")" 'BEGIN {
        printf "crawl and ingest %.1f s, views fresh %.1f s later; peak memory: crawler %s MB, server %s MB\n", b - a, c - b, crawler, server }'
done
echo
echo "PostgreSQL: $(du -sm "$work/data/postgres/cluster/base" | cut -f 1) MB of tables and indexes"
