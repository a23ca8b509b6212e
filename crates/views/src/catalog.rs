//! The one list of what is installed, with their dependencies.

/// What a definition creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    View,
    Function,
}

impl Kind {
    /// The word in `create …` and `drop …`.
    pub(crate) const fn keyword(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Function => "function",
        }
    }
}

/// A view or function and what must exist before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) depends_on: &'static [&'static str],
    pub(crate) sql: &'static str,
}

macro_rules! definition {
    ($kind:ident, $number:literal, $name:literal, [$($needs:literal),*]) => {
        Definition {
            name: $name,
            kind: Kind::$kind,
            depends_on: &[$($needs),*],
            sql: include_str!(concat!("../sql/", $number, "_", $name, ".sql")),
        }
    };
}

/// Everything that [`crate::install`] creates.
pub(crate) const DEFINITIONS: &[Definition] = &[
    definition!(View, "10", "membership_edges", []),
    definition!(Function, "20", "group_nesting_in", ["membership_edges"]),
    definition!(View, "21", "group_nesting", ["group_nesting_in"]),
    definition!(Function, "29", "access_closure_is_fresh", []),
    definition!(View, "30", "own_access", []),
    definition!(View, "31", "group_access", []),
    definition!(View, "32", "resource_grants", []),
    definition!(
        View,
        "33",
        "access_edges",
        ["group_access", "resource_grants"]
    ),
    definition!(
        View,
        "34",
        "access_exits",
        ["group_access", "resource_grants"]
    ),
    definition!(
        Function,
        "35",
        "effective_access_of_principals",
        [
            "own_access",
            "resource_grants",
            "access_edges",
            "access_exits",
            "access_closure_is_fresh"
        ]
    ),
    definition!(
        Function,
        "36",
        "effective_access_between",
        [
            "own_access",
            "access_exits",
            "access_closure_is_fresh",
            "effective_access_of_principals"
        ]
    ),
    definition!(
        Function,
        "37",
        "effective_access_of_resources",
        [
            "own_access",
            "access_edges",
            "access_exits",
            "access_closure_is_fresh"
        ]
    ),
    definition!(
        View,
        "38",
        "effective_access",
        [
            "own_access",
            "access_exits",
            "effective_access_of_principals"
        ]
    ),
    definition!(Function, "39", "access_behind", []),
    definition!(
        Function,
        "38",
        "effective_access_after",
        [
            "access_exits",
            "access_closure_is_fresh",
            "effective_access_of_resources"
        ]
    ),
    definition!(
        View,
        "40",
        "resource_access",
        ["effective_access", "access_behind"]
    ),
    definition!(
        Function,
        "41",
        "permission_matrix",
        ["effective_access_between"]
    ),
    definition!(View, "50", "directory_role_tiers", []),
    definition!(
        View,
        "51",
        "role_holders",
        [
            "directory_role_tiers",
            "effective_access_of_resources",
            "access_behind"
        ]
    ),
    definition!(View, "52", "privileged_principals", ["role_holders"]),
    definition!(View, "60", "orphan_references", []),
    definition!(
        Function,
        "70",
        "explain_access",
        ["resource_grants", "group_access"]
    ),
    definition!(View, "80", "package_contents", ["resource_grants"]),
    definition!(
        View,
        "81",
        "package_holders",
        ["effective_access", "resource_grants"]
    ),
    definition!(
        View,
        "82",
        "package_gaps",
        ["package_holders", "resource_grants", "own_access"]
    ),
    definition!(
        View,
        "83",
        "package_findings",
        ["package_contents", "resource_grants"]
    ),
    definition!(
        View,
        "84",
        "governed_access",
        ["own_access", "effective_access"]
    ),
    definition!(
        Function,
        "85",
        "access_without_package",
        [
            "effective_access_of_resources",
            "effective_access_of_principals"
        ]
    ),
    definition!(View, "90", "principal_sign_ins", []),
    definition!(
        Function,
        "91",
        "stale_principals",
        ["principal_sign_ins", "own_access"]
    ),
];

/// A result that is kept in a table and brought up to date by [`crate::refresh`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptView {
    pub(crate) name: &'static str,
    /// The entities (as `changes.entity` names them) whose changes make it stale.
    pub(crate) reads: &'static [&'static str],
}

/// How groups and packages lead to each other. The types of resources count: roles of applications go to direct members
/// only. `access_closure_is_fresh` names the same entities.
pub(crate) const ACCESS_CLOSURE: KeptView = KeptView {
    name: "access_closure",
    reads: &[
        "resource-assignments",
        "resource-relationships",
        "resources",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_names_what_it_reads_and_creates_what_it_is_named() {
        for definition in DEFINITIONS {
            for other in DEFINITIONS.iter().filter(|d| d.name != definition.name) {
                let mentioned = definition
                    .sql
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .collect::<Vec<_>>()
                    .windows(2)
                    .any(|pair| {
                        matches!(pair[0], "from" | "join" | "lateral" | "if" | "and" | "not")
                            && pair[1] == other.name
                    });
                assert_eq!(
                    mentioned,
                    definition.depends_on.contains(&other.name),
                    "{} and {}",
                    definition.name,
                    other.name
                );
            }
            let opening = format!("create {} {}", definition.kind.keyword(), definition.name);
            assert!(definition.sql.contains(&opening), "{opening}");
        }
    }

    #[test]
    fn every_file_in_the_sql_folder_is_listed() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql"))
            .expect("the folder exists")
            .count();
        assert_eq!(files, DEFINITIONS.len());
    }
}
