#!/usr/bin/env bash
# Starts the real server on a database of its own and lets schemathesis call it after its own OpenAPI document: no 5xx,
# no undocumented answer, no bad request taken for a good one. Needs PyPI once, for a virtual environment in target/.
#
# EXAMPLES: generated cases per operation. SEED: that of a failure, to repeat it. --lock: write requirements.txt anew.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/tools.sh

examples=${EXAMPLES:-10} seed=${SEED:-$RANDOM}
here=scripts/api-test
bin=${CARGO_TARGET_DIR:-target}/debug

if [[ ${1:-} == --lock ]]; then
    python3 -m venv --clear "$tools_folder/lock"
    "$tools_folder/lock/bin/pip" install --quiet pip-tools
    "$tools_folder/lock/bin/pip-compile" --quiet --generate-hashes --strip-extras --no-annotate --no-header \
        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file "$here/requirements.txt" "$here/requirements.in"
    exit
fi

# The environment is made anew when the list of packages changes, and counts only once it is complete.
python=$tools_folder/schemathesis-$(cksum <"$here/requirements.txt" | tr ' ' '-')
if [[ ! -f $python/complete ]]; then
    echo "Installing schemathesis into $python"
    python3 -m venv --clear "$python"
    if ! "$python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r "$here/requirements.txt"; then
        echo "schemathesis could not be installed: is PyPI reachable? The test of the API needs it once." >&2
        exit 1
    fi
    touch "$python/complete"
fi

cargo build --locked --quiet -p cadastre

# The register is a new one, whatever database the caller works with.
unset DATABASE_URL CADASTRE_DATA_FOLDER CADASTRE_LISTEN
work=$(mktemp -d /tmp/cadastre-api-test.XXXXXX)
chmod 711 "$work"
server=
stop() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT

# Trying calls without a good key is what this is about.
CADASTRE_LOG_LEVEL=error CADASTRE_REFUSED_KEYS_PER_MINUTE=1000000 "$bin/cadastre" up --data-folder "$work/data" --listen 127.0.0.1:0 >"$work/up" 2>&1 &
server=$!
for _ in {1..1200}; do
    grep -q '^Register' "$work/up" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/up" >&2; exit 1; }
    sleep 0.1
done
base=$(awk '/^Register/ { print $2 }' "$work/up")
[[ -n $base ]] || { echo "the server is not ready after two minutes:" >&2; cat "$work/up" >&2; exit 1; }
CADASTRE_API_KEY=$("$bin/cadastre" keys create --data-folder "$work/data" --name api-test --permission ingest \
    --permission jobs --permission read --permission admin --permission scim 2>/dev/null)
export CADASTRE_API_KEY

# A person: whoever opens the link of the first start. Cookies have their short name over plain http.
link=$(awk '/^Become admin:/ { print $3 }' "$work/up")
CADASTRE_SESSION=$(curl -fsS -o /dev/null -D - --data-urlencode "token=${link#*token=}" "$base/auth/bootstrap" |
    sed -nE 's/^set-cookie: cadastre=([^;]+).*/\1/ip')
[[ -n $CADASTRE_SESSION ]] || { echo "the link for the first admin gave no session" >&2; exit 1; }
CADASTRE_CSRF_TOKEN=$(curl -fsS -H "Cookie: cadastre=$CADASTRE_SESSION" "$base/api/me" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["csrfToken"])')
export CADASTRE_SESSION CADASTRE_CSRF_TOKEN

curl -fsS "$base/api/openapi.json" -o "$work/openapi.json"
"$python/bin/openapi-spec-validator" "$work/openapi.json"
"$python/bin/python" "$here/prepare.py" "$base"

# call_api PHASES EXAMPLES
call_api() {
    "$python/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$base/api/openapi.json" --no-color \
        --phases "$1" --max-examples "$2" --seed "$seed" || outcome=$?
}
outcome=0
call_api examples,coverage,fuzzing "$examples"
# Sequences are not counted per operation but all together: more of them, and they are quick.
call_api stateful "$((examples * 4))"

# A key that was revoked on the way would have been answered 401 ever since, which is documented everywhere.
curl -fsS --config - "$base/api/crawlers/whoami" -o /dev/null <<<"header = \"Authorization: Bearer $CADASTRE_API_KEY\"" ||
    { echo "the key does not work any more: the run proves nothing" >&2; outcome=1; }
if [[ $outcome != 0 ]]; then
    echo "Found something (EXAMPLES=$examples SEED=$seed). What the server said:" >&2
    grep -vE '^(Database|Register|Make a key|Stop:|$)' "$work/up" | tail -n 50 >&2 || true
    exit 1
fi
