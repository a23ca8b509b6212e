//! The catalogue a second time, over the tables as they were.

use sqlx::{PgConnection, Row as _};

use crate::{
    ViewError,
    catalog::{Definition, Kind},
};

/// What stands in the schema `past` for tables and functions that know the present only.
const STANDING_IN: &[(&str, Kind, &str)] = &[
    (
        "access_closure",
        Kind::View,
        include_str!("../../past/access_closure.sql"),
    ),
    (
        "access_closure_systems",
        Kind::View,
        include_str!("../../past/access_closure_systems.sql"),
    ),
    (
        "access_closure_is_fresh",
        Kind::Function,
        include_str!("../../past/access_closure_is_fresh.sql"),
    ),
    (
        "principal_activity_as_of",
        Kind::Function,
        include_str!("../../past/principal_activity_as_of.sql"),
    ),
    (
        "principal_activity",
        Kind::View,
        include_str!("../../past/principal_activity.sql"),
    ),
];

/// Something in the schema `past`. To be created with the search path `past, public`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OfPast {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) sql: String,
}

/// Everything that belongs into the schema, each after what it is built on. `catalogue` is in such an order already.
pub(crate) async fn definitions(
    conn: &mut PgConnection,
    catalogue: &[&Definition],
) -> Result<Vec<OfPast>, ViewError> {
    let tables = sqlx::query(include_str!("tables.sql"))
        .fetch_all(conn)
        .await?;
    let mut all = Vec::new();
    for row in tables {
        all.push(OfPast {
            name: row.try_get("name")?,
            kind: Kind::View,
            sql: row.try_get("definition")?,
        });
    }
    all.extend(STANDING_IN.iter().map(|(name, kind, sql)| OfPast {
        name: (*name).to_owned(),
        kind: *kind,
        sql: (*sql).to_owned(),
    }));
    let stands_in = |name: &str| STANDING_IN.iter().any(|(other, _, _)| *other == name);
    all.extend(
        catalogue
            .iter()
            .filter(|definition| !stands_in(definition.name))
            .map(|definition| OfPast {
                name: definition.name.to_owned(),
                kind: definition.kind,
                sql: bound_to_past(definition),
            }),
    );
    Ok(all)
}

/// The definition with what it names found in `past`, whatever the search path of whoever uses it later. A view is bound
/// when it is created, and so is a function with a body of SQL; others take the search path along.
fn bound_to_past(definition: &Definition) -> String {
    let sql = definition.sql;
    let Some((head, body)) = sql.split_once(SQL_BODY) else {
        return sql.replace(PLPGSQL, &format!("{PLPGSQL}{PLANNED_ONCE}"));
    };
    let body = body.trim_end().trim_end_matches("$$;").trim_end();
    if IS_PLANNED_ONCE.contains(&definition.name) {
        format!(
            "{head}{PLPGSQL}{PLANNED_ONCE}as $$\n#variable_conflict use_column\nbegin\n    return query{body};\nend\n$$;\n"
        )
    } else {
        format!("{head}language sql stable\nbegin atomic{body};\nend;\n")
    }
}

const SQL_BODY: &str = "language sql stable\nas $$";
const PLPGSQL: &str = "language plpgsql stable\n";
/// Each month of the history is one more table to plan for, in every branch of a walk: that takes longer than the walk. A
/// plan that is kept must not scan a month because it was small once.
const PLANNED_ONCE: &str = "set search_path = past, public
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
";
/// Functions of SQL whose plan is worth keeping: a function of SQL is planned each time.
const IS_PLANNED_ONCE: &[&str] = &["explain_access"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::DEFINITIONS;

    #[test]
    fn every_function_is_bound_to_the_past_and_views_are_as_they_were() {
        for definition in DEFINITIONS {
            let bound = bound_to_past(definition);
            let name = definition.name;
            if definition.kind == Kind::View {
                assert_eq!(bound, definition.sql, "{name}");
                continue;
            }
            let has_body = bound.contains("\nbegin atomic\n") && bound.ends_with(";\nend;\n");
            let has_path = bound.contains("\nset search_path = past, public\n");
            assert!(has_body != has_path, "{name}: {bound}");
            assert_eq!(has_body, !bound.contains("$$"), "{name}: {bound}");
            assert_eq!(
                has_path,
                bound.contains("language plpgsql stable\n"),
                "{name}: {bound}"
            );
        }
    }

    #[test]
    fn every_file_in_the_folder_of_the_past_is_installed() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/past"))
            .expect("the folder exists")
            .count();
        assert_eq!(files, STANDING_IN.len());
    }
}
