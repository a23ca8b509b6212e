//! The rules about who may depend on whom. They keep the database out of the crawler and the
//! worker, which run in other people's networks, and the simulated tenant out of what is shipped.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates that speak to a PostgreSQL server; their companions (`sqlx-core`, …) begin the same.
const DATABASE: [&str; 5] = ["sqlx", "tokio-postgres", "postgres", "libpq", "pq-sys"];

/// The names of all crates that a workspace member is built from, itself included.
fn normal_dependencies(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "-e", "normal", "-p", package])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let (lines, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{complaints}");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Those of a package's crates that speak to a database.
fn database_crates(package: &str) -> Vec<String> {
    let is_one = |name: &String| {
        DATABASE
            .iter()
            .any(|crate_name| name.starts_with(crate_name))
    };
    normal_dependencies(package)
        .into_iter()
        .filter(is_one)
        .collect()
}

#[test]
fn the_worker_has_no_database_driver() {
    assert_eq!(database_crates("worker"), Vec::<String>::new());
}

#[test]
fn the_crawler_has_no_database_driver() {
    assert_eq!(database_crates("crawler-entra"), Vec::<String>::new());
}

#[test]
fn nothing_that_is_shipped_contains_the_simulated_tenant() {
    for package in ["ingest-api", "worker", "crawler-entra"] {
        let dependencies = normal_dependencies(package);
        assert!(dependencies.contains("contract"), "{package} was looked at");
        assert!(!dependencies.contains("graph-sim"), "{package}");
    }
}

/// Guards the rules above: a search that finds nothing anywhere would pass them too.
#[test]
fn a_database_driver_is_found_where_there_is_one() {
    let found = database_crates("ingest-api");
    assert!(found.iter().any(|name| name == "sqlx"), "{found:?}");
}
