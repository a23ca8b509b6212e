#!/usr/bin/env bash
# How a crawler that was written for Identity Atlas' ingest API talks to Cadastre: the same calls, in the same order.
#
#   CADASTRE_API_BASE_URL=https://cadastre.example CADASTRE_API_KEY=fgc_… docs/examples/identity-atlas-sequence.sh
#
# The address may end in /api. The key needs the permissions `ingest` and `read`. Needs curl, grep and sed.
#
# It loads a small made-up HR system: three people and a service account, a team nested in a group, and an application
# role that the group holds. Run it again: nothing changes. It ends with an error at the first answer that is not what it
# should be.
set -euo pipefail

: "${CADASTRE_API_BASE_URL:?set it to the address of Cadastre, with or without /api}"
: "${CADASTRE_API_KEY:?set it to an API key (fgc_…) with the permissions ingest and read}"
for tool in curl grep sed; do
    command -v "$tool" >/dev/null || { echo "This example needs $tool." >&2; exit 1; }
done

base=${CADASTRE_API_BASE_URL%/}
base=${base%/api}/api

# ---------------------------------------------------------------------------------------------------------------- tools

# The key reaches curl by its standard input: a command line is visible to every user of the machine.
# With that, the body of a call goes by `--data`, which is fine: it holds no secret.
authorization() { printf 'header = "Authorization: Bearer %s"\n' "$CADASTRE_API_KEY"; }

status='' answer=''
newline=$'\n'

# call METHOD PATH EXPECTED_STATUS [BODY]: makes the call, shows it, keeps its answer.
call() {
    local method=$1 path=$2 expected=$3 body=${4-}
    local options=(--silent --show-error --max-time 60 --request "$method" --write-out '\n%{http_code}')
    if [[ -n $body ]]; then
        options+=(--header 'Content-Type: application/json' --data "$body")
    fi
    echo
    echo "$method /api/$path"
    local text
    text=$(authorization | curl --config - "${options[@]}" "$base/$path")
    status=${text##*"$newline"}
    answer=${text%"$newline"*}
    if [[ $status != "$expected" ]]; then
        fail "HTTP $status, not $expected: $answer"
    fi
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# field NAME: the first value of a field of the answer; enough for answers as flat as these. A real crawler parses JSON.
field() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"${answer//,/,$newline}" | sed -n 1p
}

# show FIELD...: the interesting part of the answer.
show() {
    local name
    for name in "$@"; do
        printf '    %-10s %s\n' "$name" "$(field "$name")"
    done
}

# expect FIELD VALUE
expect() {
    [[ $(field "$1") == "$2" ]] || fail "$1 is '$(field "$1")', not '$2': $answer"
}

# expect_text TEXT: the answer holds it somewhere.
expect_text() {
    grep -qF -- "$1" <<<"$answer" || fail "no $1 in $answer"
}

# The counts that every load answers; nothing may have been refused.
landed() {
    show inserted updated unchanged deleted
    expect rejected 0
}

# --------------------------------------------------------------------------------------------------------- the sequence

# 1. Is the key good, and what may it do?
call GET crawlers/whoami 200
show name keyId
expect_text '"ingest"'
expect_text '"read"'

# 2. The system that everything belongs to. Its type and tenant are its key: sent again, it keeps its number.
call POST ingest/systems 201 '{
    "records": [{"systemType": "ExampleHR", "tenantId": "example-hr", "displayName": "Example HR"}]
}'
system_id=$(sed -n 's/.*"systemIds":\[\([0-9]*\).*/\1/p' <<<"$answer")
[[ -n $system_id ]] || fail "no systemIds in $answer"
echo "    systemId   $system_id"

# 3. People, in chunks: start opens a session and answers its syncId; continue adds; end adds and makes it effective. The
#    HR system has no GUIDs, so ids are derived from the prefix and the externalId. Nothing is removed before `end`, and
#    then only rows of the scope that no chunk held.
people="\"systemId\": $system_id, \"syncMode\": \"full\", \"scope\": {\"principalType\": \"User\"},
    \"idGeneration\": \"deterministic\", \"idPrefix\": \"examplehr-principals\""
call POST ingest/principals 201 "{$people, \"syncSession\": \"start\", \"records\": [
    {\"externalId\": \"E-1001\", \"principalType\": \"User\", \"displayName\": \"Ada Example\",
     \"department\": \"Payroll\", \"shoeSize\": 38}
]}"
sync_id=$(field syncId)
show syncId inserted unchanged
expect rejected 0
call POST ingest/principals 200 "{$people, \"syncSession\": \"continue\", \"syncId\": \"$sync_id\", \"records\": [
    {\"externalId\": \"E-1002\", \"principalType\": \"User\", \"displayName\": \"Bo Example\",
     \"managerExternalId\": \"E-1001\"}
]}"
landed
call POST ingest/principals 200 "{$people, \"syncSession\": \"end\", \"syncId\": \"$sync_id\", \"records\": [
    {\"externalId\": \"E-1003\", \"principalType\": \"User\", \"displayName\": \"Cy Example\"}
]}"
landed
expect records 3

# 4. Service accounts have GUIDs of their own (idGeneration native, the default). Another scope: another load.
robot=5d0e6a1b-40c7-4c55-9b7e-2f1f0c9a7e01
accounts="\"systemId\": $system_id, \"syncMode\": \"full\", \"scope\": {\"principalType\": \"ServicePrincipal\"}"
call POST ingest/principals 201 "{$accounts, \"syncSession\": \"start\", \"records\": []}"
sync_id=$(field syncId)
call POST ingest/principals 200 "{$accounts, \"syncSession\": \"end\", \"syncId\": \"$sync_id\", \"records\": [
    {\"id\": \"$robot\", \"principalType\": \"ServicePrincipal\", \"displayName\": \"Payroll robot\"}
]}"
landed
expect records 1

# 5. What access is access to, in a single call: two groups and an application role.
call POST ingest/resources 201 "{\"systemId\": $system_id, \"syncMode\": \"full\",
    \"idGeneration\": \"deterministic\", \"idPrefix\": \"examplehr-resources\", \"records\": [
    {\"externalId\": \"G-STAFF\", \"resourceType\": \"Group\", \"displayName\": \"All staff\"},
    {\"externalId\": \"G-PAYROLL\", \"resourceType\": \"Group\", \"displayName\": \"Payroll team\"},
    {\"externalId\": \"R-PAYSLIPS\", \"resourceType\": \"AppRole\", \"displayName\": \"Read payslips\"}
]}"
landed
expect records 3

# 6. Who holds what: the full list of direct assignments. References by externalId are derived with the first part of the
#    prefix. A group that is a member, or holds a role, is principalType Group and named by the group's own id: its
#    members are not listed again, Cadastre resolves the nesting. That id is the MD5 of "examplehr-resources:G-PAYROLL"
#    (and G-STAFF), laid out as a UUID; a crawler computes it, this example has it written down.
payroll=7704c136-0a77-ee19-c15f-d63ac0e2df5e
staff=fef33b53-7d5e-e8f7-0353-8d71a6261689
call POST ingest/resource-assignments 201 "{\"systemId\": $system_id, \"syncMode\": \"full\",
    \"scope\": {\"assignmentType\": \"Direct\"},
    \"idGeneration\": \"deterministic\", \"idPrefix\": \"examplehr-assignments\", \"records\": [
    {\"resourceExternalId\": \"G-PAYROLL\", \"principalExternalId\": \"E-1001\", \"assignmentType\": \"Direct\"},
    {\"resourceExternalId\": \"G-PAYROLL\", \"principalId\": \"$robot\", \"assignmentType\": \"Direct\"},
    {\"resourceExternalId\": \"G-STAFF\", \"principalExternalId\": \"E-1002\", \"assignmentType\": \"Direct\"},
    {\"resourceExternalId\": \"G-STAFF\", \"principalId\": \"$payroll\", \"principalType\": \"Group\",
     \"assignmentType\": \"Direct\"},
    {\"resourceExternalId\": \"R-PAYSLIPS\", \"principalId\": \"$staff\", \"principalType\": \"Group\",
     \"assignmentType\": \"Direct\"}
]}"
landed
expect records 5

# 7. Bring the views up to date. The answer comes at once, the work is done in the background.
call POST ingest/refresh-views 202

# 8. Ask until no view is stale.
for ((tries = 1; ; tries++)); do
    call GET ingest/refresh-views 200
    show view isStale rowsTotal
    if ! grep -q '"isStale":true' <<<"$answer"; then break; fi
    ((tries < 60)) || fail "the views are still stale: $answer"
    sleep 1
done

# 9. Who can read payslips? The group All staff itself, and everybody in it, Ada and the robot by way of Payroll team.
call GET "resources?search=Read%20payslips" 200
payslips=$(field id)
call GET "systems/$system_id/resources/$payslips/access" 200
for name in "Ada Example" "Bo Example" "Payroll robot"; do
    expect_text "\"$name\""
    echo "    has access: $name"
done
if grep -qF "Cy Example" <<<"$answer"; then fail "Cy Example is in no group: $answer"; fi

# 10. And why can Ada?
call GET "principals?search=Ada%20Example" 200
ada=$(field id)
call GET "access/explain?systemId=$system_id&principalId=$ada&resourceId=$payslips" 200
expect length 3
for name in "Ada Example" "Payroll team" "All staff" "Read payslips"; do
    expect_text "\"$name\""
done
echo "    Ada Example is in Payroll team, which is in All staff, which holds Read payslips."

echo
echo "Done: every answer was as expected."
