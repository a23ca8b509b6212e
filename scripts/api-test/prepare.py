"""Gives the register something to answer about: every documented example, and removals that wait for a decision."""

import json
import os
import sys
import urllib.request

BASE, KEY = sys.argv[1], os.environ["CADASTRE_API_KEY"]


def call(method, path, body=None):
    request = urllib.request.Request(
        BASE + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def post(path, body):
    answer = call("POST", path, body)
    if answer.get("rejected"):
        sys.exit(f"POST {path}: {json.dumps(answer)}")
    return answer


document = call("GET", "/api/openapi.json")
examples = {
    path: operations["post"]["requestBody"]["content"]["application/json"]["example"]
    for path, operations in document["paths"].items()
    if operations.get("post", {}).get("tags") == ["Records"]
}
# The first systems are numbers 1 and 2, the ones that the examples and schemathesis.toml speak of.
post("/api/ingest/systems", examples.pop("/api/ingest/systems"))
post("/api/ingest/systems", {"records": [{"systemType": "HR", "displayName": "Second"}]})
for path, example in examples.items():
    post(path, example)

# An empty full load of a scope that was not empty is held, not done. Enough of them, because decisions use them up.
for number in range(12):
    name = f"Held{number}"
    scope = {"scope": {"resourceType": name}, "syncMode": "full", "systemId": 2}
    records = [{"externalId": f"{name} {n}", "displayName": name, "resourceType": name} for n in range(3)]
    post("/api/ingest/resources", {**scope, "records": records})
    if "held" not in post("/api/ingest/resources", {**scope, "records": []}):
        sys.exit("nothing was held: the operations on held removals would not be tested")
