//! What is asked.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A list.
pub struct Question {
    /// What it shows.
    pub name: &'static str,
    /// Its path and query.
    pub path: &'static str,
    /// The link that is followed and the parameter that takes it.
    pub walks: Option<(&'static str, &'static str)>,
    /// The page that is asked for first.
    pub start: Start,
}

/// The first page.
pub enum Start {
    /// That at the beginning.
    Beginning,
    /// The last one.
    End,
    /// That behind the rows of this list, which has the same order: somewhere deep inside.
    Behind(String),
}

fn question(name: &'static str, path: &'static str) -> Question {
    Question {
        name,
        path,
        walks: None,
        start: Start::Beginning,
    }
}

fn forward(name: &'static str, path: &'static str) -> Question {
    Question {
        walks: Some(("next", "after")),
        ..question(name, path)
    }
}

/// From the last page to those before it.
fn backward(name: &'static str, path: &'static str) -> Question {
    Question {
        walks: Some(("previous", "before")),
        start: Start::End,
        ..question(name, path)
    }
}

/// From a place deep inside on.
fn inside(name: &'static str, path: &'static str, filter: &str) -> Question {
    let behind = format!("{path}&filter={filter}").replace("limit=100", "limit=1");
    Question {
        start: Start::Behind(behind),
        ..forward(name, path)
    }
}

/// Core fields that get an index on request.
pub const INDEXED: [(&str, &str); 2] = [
    ("principals", "createdDateTime"),
    ("resource-assignments", "assignmentType"),
];

/// 2020-01-01, when the test bed's first principal was created.
const FIRST_CREATED: DateTime<Utc> = DateTime::from_timestamp_nanos(1_577_836_800_000_000_000);

/// Lists by those fields, of so many principals.
pub fn by_fields(principals: i64) -> Vec<Question> {
    // As the test bed makes them: one a minute.
    let middle = FIRST_CREATED + TimeDelta::minutes(principals / 2);
    let middle = middle.to_rfc3339_opts(SecondsFormat::Secs, true);
    let since_then = format!("createdDateTime%20ge%20{middle}");
    vec![
        forward(
            "principals by createdDateTime",
            "register/principals?limit=100&sort=createdDateTime",
        ),
        inside(
            "principals by createdDateTime, deep inside",
            "register/principals?limit=100&sort=createdDateTime",
            &since_then,
        ),
        backward(
            "principals by createdDateTime, from the last page back (nulls)",
            "register/principals?limit=100&sort=createdDateTime",
        ),
        forward(
            "principals by -createdDateTime",
            "register/principals?limit=100&sort=-createdDateTime",
        ),
        backward(
            "principals by -createdDateTime, from the last page back (nulls)",
            "register/principals?limit=100&sort=-createdDateTime",
        ),
        forward(
            "assignments by assignmentType",
            "register/resource-assignments?limit=100&sort=assignmentType",
        ),
        inside(
            "assignments by assignmentType, deep inside",
            "register/resource-assignments?limit=100&sort=assignmentType",
            "lower(assignmentType)%20startsWith%20%27owner%27",
        ),
        backward(
            "assignments by assignmentType, from the last page back",
            "register/resource-assignments?limit=100&sort=assignmentType",
        ),
        forward(
            "assignments by -assignmentType",
            "register/resource-assignments?limit=100&sort=-assignmentType",
        ),
        inside(
            "assignments by -assignmentType, deep inside",
            "register/resource-assignments?limit=100&sort=-assignmentType",
            "lower(assignmentType)%20startsWith%20%27direct%27",
        ),
    ]
}

/// Questions that an index, or a bounded amount of work, answers.
pub fn usual() -> Vec<Question> {
    vec![
        forward("principals by key", "register/principals?limit=100"),
        question(
            "principals by key, last page",
            "register/principals?limit=100&before=end",
        ),
        forward(
            "principals by name",
            "register/principals?limit=100&sort=displayName",
        ),
        backward(
            "principals by name, from the last page back",
            "register/principals?limit=100&sort=displayName",
        ),
        forward(
            "principals by -name",
            "register/principals?limit=100&sort=-displayName",
        ),
        forward(
            "principals by ext.costCenter (promoted text)",
            "register/principals?limit=100&sort=ext.costCenter",
        ),
        backward(
            "principals by ext.costCenter, from the last page back (nulls)",
            "register/principals?limit=100&sort=ext.costCenter",
        ),
        forward(
            "principals by -ext.badge (promoted number)",
            "register/principals?limit=100&sort=-ext.badge",
        ),
        forward(
            "principals of a cost centre by name",
            "register/principals?limit=100&sort=displayName&filter=ext.costCenter%20eq%20%27CC7%27",
        ),
        forward(
            "principals of a department by name",
            "register/principals?limit=100&sort=displayName&filter=department%20eq%20%27D7%27",
        ),
        forward(
            "principals whose name begins so, by name",
            "register/principals?limit=100&sort=displayName&filter=lower(displayName)%20startsWith%20%27person%2099%27",
        ),
        question(
            "principals of one name",
            "register/principals?limit=100&filter=displayName%20eq%20%27Person%2079190%27",
        ),
        forward(
            "resources by name",
            "register/resources?limit=100&sort=displayName",
        ),
        question(
            "resources by name, last page",
            "register/resources?limit=100&sort=displayName&before=end",
        ),
        forward(
            "assignments by key",
            "register/resource-assignments?limit=100",
        ),
        question(
            "assignments by key, last page",
            "register/resource-assignments?limit=100&before=end",
        ),
        question(
            "assignments of a principal",
            "register/resource-assignments?limit=100&filter=principalId%20eq%20%2700000000-0000-0000-0000-000000000007%27",
        ),
        question(
            "assignments, estimated count",
            "register/resource-assignments?limit=1&count=estimated",
        ),
    ]
}

/// Questions for which the whole table is read; asked a few times only.
pub fn whole() -> Vec<Question> {
    vec![
        question(
            "principals, exact count (2 s at most)",
            "register/principals?limit=1&count=exact",
        ),
        question(
            "assignments, exact count (2 s at most)",
            "register/resource-assignments?limit=1&count=exact",
        ),
        question(
            "principals whose name holds it, by key",
            "register/principals?limit=100&filter=lower(displayName)%20contains%20%27on%20999%27",
        ),
        question(
            "principals by surname (no index)",
            "register/principals?limit=100&sort=surname",
        ),
        question(
            "search for a person",
            "principals?limit=20&search=person7919%40",
        ),
        question(
            "search for a group",
            "resources?limit=20&search=group%2079190",
        ),
    ]
}
