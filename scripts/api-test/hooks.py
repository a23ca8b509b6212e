"""What schemathesis cannot know about the API."""

import json
import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData

# NDJSON: a first line with the call, then records, good and bad, and lines that are neither.
ENVELOPES = st.fixed_dictionaries(
    {"systemId": st.sampled_from([1, 2, 3])},
    optional={
        "syncMode": st.sampled_from(["full", "delta", "both"]),
        "atomic": st.booleans(),
        "complete": st.booleans(),
        "records": st.just([]),
    },
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.uuids().map(str) | VALUES,
        "externalId": st.text(max_size=10) | VALUES,
        "displayName": st.text(min_size=1, max_size=20) | VALUES,
        "extendedAttributes": st.dictionaries(st.text(max_size=8), VALUES, max_size=3) | VALUES,
        "createdDateTime": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | VALUES,
    },
)
LINES = (RECORDS | VALUES).map(json.dumps) | st.text(max_size=20)
schemathesis.openapi.media_type(
    "application/x-ndjson",
    st.builds(
        lambda first, rest: "\n".join([json.dumps(first), *rest]).encode(errors="surrogatepass"),
        ENVELOPES,
        st.lists(LINES, max_size=5),
    ),
)


@schemathesis.deserializer("application/vnd.apache.parquet")
def parquet(context, response):
    """A file begins and ends with the same four bytes; a Rust test reads what is between."""
    if not (response.content[:4] == response.content[-4:] == b"PAR1"):
        raise ValueError("not a whole Parquet file")
    return response.content.decode("latin-1")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    paths = raw_schema["paths"]
    # The examples of NDJSON are texts, where a media type with a strategy of its own must have bytes. A Rust test sends
    # them.
    for operations in paths.values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            content.get("application/x-ndjson", {}).pop("example", None)
    # Loads begin with a system that exists: without this, sequences of calls would never get to them. All entities have
    # the same handler; the other phases call each of them.
    links = paths["/api/systems"]["get"]["responses"]["200"].setdefault("links", {})
    for operation_id in ("openSession", "postSystems", "postPrincipals", "postResourceAssignments"):
        links[operation_id] = {
            "operationId": operation_id,
            "requestBody": {"systemId": "$response.body#/items/0/systemId"},
        }


@schemathesis.hook
def before_call(context, case, kwargs):
    """Keeps requests from failing for reasons that a schema cannot express, so that more than the edge is tested."""
    # The key of the test is among those that are listed; it must not revoke itself.
    own = os.environ["CADASTRE_API_KEY"].split("_")[1]
    if case.path_parameters.get("keyId") == own:
        case.path_parameters["keyId"] = own[::-1]
    # Broken requests stay broken, and some of the others are left as they are.
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    is_plain = ord(case.id[-1]) % 4 != 0
    if is_positive and isinstance(case.body, dict) and "systemId" in case.body:
        case.body = plausible(case.body, is_plain)
    if is_positive and is_plain:
        findable(case)


def plausible(body, is_plain):
    """A call whose fields fit each other: ids with their prefix, no step of a session that does not exist, a scope of
    the entity's own keys."""
    body = dict(body)
    if body.get("idGeneration") == "deterministic":
        body["idPrefix"] = "api-test-principals"
    if is_plain:
        for field in ("syncSession", "syncId", "readBeganMsAgo"):
            body.pop(field, None)
        if "entity" in body:
            body.pop("scope", None)
        body["systemId"] = 1 + len(body) % 2
    return body


def findable(case):
    """Held removals that wait for a decision, and approvals that do not expect a number of rows that was made up."""
    path = case.operation.path
    if path == "/api/ingest/held":
        case.query = {"state": "held"}
    if path == "/api/ingest/held/{id}/rows" and case.query:
        case.query.pop("after", None)
    if path == "/api/ingest/held/{id}/approve" and isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name != "wouldDelete"}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """A bad record does not refuse its call: it is counted, and named in the answer."""
    if not isinstance(failure, AcceptedNegativeData) or not case.path.startswith("/api/ingest/"):
        return True
    answer = response.json()
    return not (isinstance(answer, dict) and answer.get("rejected"))
