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
    definition!(
        Function,
        "30",
        "effective_access_now",
        ["membership_edges", "group_nesting_in"]
    ),
    definition!(View, "40", "resource_access", []),
    definition!(View, "50", "directory_role_tiers", []),
    definition!(
        View,
        "51",
        "role_holders",
        ["resource_access", "directory_role_tiers"]
    ),
    definition!(View, "52", "privileged_principals", ["role_holders"]),
    definition!(View, "60", "orphan_references", []),
    definition!(Function, "70", "explain_access", []),
];

/// A result that is kept in a table and brought up to date by [`crate::refresh`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptView {
    pub(crate) name: &'static str,
    /// The entities (as `changes.entity` names them) whose changes make it stale.
    pub(crate) reads: &'static [&'static str],
}

/// Who holds what in effect. It follows assignments only: names are joined when it is read.
pub(crate) const EFFECTIVE_ACCESS: KeptView = KeptView {
    name: "effective_access",
    reads: &["resource-assignments"],
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
                        matches!(pair[0], "from" | "join" | "lateral") && pair[1] == other.name
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
