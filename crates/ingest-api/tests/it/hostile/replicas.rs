//! Several servers that start at the same moment on a database that nobody has migrated yet (F25).

use std::path::Path;

use futures_util::future::join_all;
use ingest_api::MIGRATIONS;
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, migrate::Migrator};

use super::{Postgres, Register, ServerProcess, writers::Writers};
use crate::client::{Call, Client};

const SERVERS: usize = 4;

async fn probe(server: &ServerProcess, what: &str) -> u16 {
    let client = Client::new(&server.base(), "none");
    let answer = client.once(&Call::get(&format!("/health/{what}"))).await;
    answer.expect("an answer").status.as_u16()
}

/// Starts them all at once, asks each whether it can serve, and looks at what they left.
async fn start_together(postgres: &Postgres, folder: &Path, missing: usize) {
    let starts = (0..SERVERS).map(|number| {
        let folder = folder.join(number.to_string());
        async move {
            std::fs::create_dir_all(&folder).expect("a folder");
            ServerProcess::start(&folder, postgres.url()).await
        }
    });
    let servers = join_all(starts).await;
    for server in &servers {
        assert_eq!(probe(server, "ready").await, 200);
    }
    let logs: Vec<String> = servers.iter().map(ServerProcess::log).collect();
    let migrated: Vec<&str> = logs
        .iter()
        .flat_map(|log| log.lines())
        .filter(|line| line.contains("the schema was brought up to date"))
        .collect();
    let [one] = migrated[..] else {
        panic!("{migrated:?}");
    };
    assert!(one.contains(&format!("migrations={missing}")), "{one}");
    for log in &logs {
        assert_eq!(
            log.matches(" listening ").count(),
            1,
            "none had to try again:\n{log}"
        );
        assert!(!log.contains("deadlock"), "{log}");
    }
    let mut connection = postgres.connect().await;
    let (applied, broken): (i64, i64) = sqlx::query_as(
        "select (select count(*) from _sqlx_migrations where success), \
         (select count(*) from pg_index where not indisvalid or not indisready)",
    )
    .fetch_one(&mut connection)
    .await
    .expect("numbers");
    assert_eq!((applied, broken), (MIGRATIONS.iter().count() as i64, 0));
    let deadlocks: i64 = sqlx::query_scalar("select sum(deadlocks)::bigint from pg_stat_database")
        .fetch_one(&mut connection)
        .await
        .expect("a number");
    assert_eq!(deadlocks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_on_an_empty_or_older_database_are_all_ready_and_one_migrates()
{
    let place = tempfile::tempdir().expect("a temporary folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let all = MIGRATIONS.iter().count();
    start_together(&postgres, place.path(), all).await;

    let place = tempfile::tempdir().expect("a temporary folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let mut connection = postgres.connect().await;
    let mut migrator = Migrator {
        ..Migrator::DEFAULT
    };
    migrator.migrations = MIGRATIONS.iter().take(all - 3).cloned().collect();
    migrator.run(&mut connection).await.expect("migrates");
    connection.close().await.expect("closes");
    start_together(&postgres, place.path(), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_only_while_it_can_work_with_the_schema() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let postgres = Postgres::start(place.path(), &[]).await;
    let server = ServerProcess::start(place.path(), postgres.url()).await;
    let mut admin = postgres.connect().await;
    let add = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values ";
    for (change, ready) in [
        ("select", 200),
        (&*format!("{add} (9998, 'more tables', true, '', 0)"), 200),
        (
            &*format!("{add} (9999, 'contract old columns', true, '', 0)"),
            503,
        ),
        ("delete from _sqlx_migrations where version > 9000", 200),
        (
            "update _sqlx_migrations set success = false where version = 3",
            503,
        ),
        ("update _sqlx_migrations set success = true", 200),
        ("alter table _sqlx_migrations rename to elsewhere", 503),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(change))
            .execute(&mut admin)
            .await
            .expect("changed");
        for (path, wanted) in [("ready", ready), ("live", 200)] {
            assert_eq!(probe(&server, path).await, wanted, "{path} after {change}");
        }
    }
}

/// Tells that a newer version made something of the schema.
async fn note_migration(postgres: &Postgres, version: i64, description: &str) {
    let mut admin = postgres.connect().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values ($1, $2, true, '', 0)",
    )
    .bind(version)
    .bind(description)
    .execute(&mut admin)
    .await
    .expect("noted");
}

async fn views_of(postgres: &Postgres) -> Vec<(String, String)> {
    let mut admin = postgres.connect().await;
    sqlx::query_as("select name, definition_hash from view_definitions order by position")
        .fetch_all(&mut admin)
        .await
        .expect("views")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_back_a_version_may_start_until_something_was_taken_away_and_changes_nothing() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let mut register = Register::over(Postgres::start(place.path(), &[]).await, place.path()).await;
    note_migration(&register.postgres, 9998, "more tables").await;
    // The newer version's views are not those of this one.
    let mut admin = register.postgres.connect().await;
    sqlx::query("update view_definitions set definition_hash = 'newer' where position = 1")
        .execute(&mut admin)
        .await
        .expect("changed");
    let views = views_of(&register.postgres).await;
    let mut writers = Writers::start(&register.client, register.system_id, 2);
    for _ in 0..2 {
        writers.progress(4).await;
        assert_eq!(register.server.terminate().await.code(), Some(0));
        register.server.start_again().await;
    }
    writers.finish(&mut admin).await;
    assert_eq!(probe(&register.server, "ready").await, 200);
    assert_eq!(views_of(&register.postgres).await, views);

    note_migration(&register.postgres, 9999, "contract old columns").await;
    assert_eq!(probe(&register.server, "ready").await, 503);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ingest-api"))
        .arg("--migrate-only")
        .env("DATABASE_URL", register.postgres.url().expose_secret())
        .output()
        .expect("runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("restore the backup"), "{told}");
}
