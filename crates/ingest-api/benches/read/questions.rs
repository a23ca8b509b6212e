//! What is asked.

/// A list.
pub struct Question {
    /// What it shows.
    pub name: &'static str,
    /// Its path and query.
    pub path: &'static str,
    /// The link that is followed and the parameter that takes it.
    pub walks: Option<(&'static str, &'static str)>,
    /// Is the last page the first one?
    pub is_from_the_end: bool,
}

const fn question(name: &'static str, path: &'static str) -> Question {
    Question {
        name,
        path,
        walks: None,
        is_from_the_end: false,
    }
}

const fn forward(name: &'static str, path: &'static str) -> Question {
    Question {
        walks: Some(("next", "after")),
        ..question(name, path)
    }
}

/// From the last page to those before it.
const fn backward(name: &'static str, path: &'static str) -> Question {
    Question {
        walks: Some(("previous", "before")),
        is_from_the_end: true,
        ..question(name, path)
    }
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
            "principals by createdDateTime (no index)",
            "register/principals?limit=100&sort=createdDateTime",
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
