//! What is asked.

/// A list.
pub struct Question {
    /// What it shows.
    pub name: &'static str,
    /// Its path and query.
    pub path: &'static str,
    /// The link that is followed and the parameter that takes it.
    pub walks: Option<(&'static str, &'static str)>,
}

const fn question(name: &'static str, path: &'static str) -> Question {
    Question {
        name,
        path,
        walks: None,
    }
}

const fn forward(name: &'static str, path: &'static str) -> Question {
    Question {
        walks: Some(("next", "after")),
        ..question(name, path)
    }
}

/// All of them.
pub const fn all() -> [Question; 15] {
    [
        forward("principals by key", "principals?limit=100"),
        question(
            "principals by key, last page",
            "principals?limit=100&before=end",
        ),
        forward(
            "principals by name",
            "principals?limit=100&sort=displayName",
        ),
        question(
            "principals by name, last page",
            "principals?limit=100&sort=displayName&before=end",
        ),
        forward(
            "principals by -createdDateTime",
            "principals?limit=100&sort=-createdDateTime",
        ),
        forward(
            "principals by ext.costCenter (not promoted)",
            "principals?limit=100&sort=ext.costCenter",
        ),
        forward(
            "principals of a department by name",
            "principals?limit=100&sort=displayName&filter=department%20eq%20%27D7%27",
        ),
        question(
            "principals whose name begins so",
            "principals?limit=100&sort=displayName&filter=lower(displayName)%20startsWith%20%27person%2099%27",
        ),
        question(
            "principals whose name holds it",
            "principals?limit=100&filter=lower(displayName)%20contains%20%27son%20999%27",
        ),
        question("principals, exact count", "principals?limit=1&count=exact"),
        forward("assignments by key", "resource-assignments?limit=100"),
        question(
            "assignments by key, last page",
            "resource-assignments?limit=100&before=end",
        ),
        forward(
            "assignments by type",
            "resource-assignments?limit=100&sort=assignmentType",
        ),
        question(
            "assignments of a principal",
            "resource-assignments?limit=100&filter=principalId%20eq%20%2700000000-0000-0000-0000-000000000007%27",
        ),
        question(
            "assignments, estimated count",
            "resource-assignments?limit=1&count=estimated",
        ),
    ]
}
