//! The promises of the crate, checked with real servers.

mod child;
mod crash;
mod ephemeral;
mod fresh;
mod lifecycle;
mod refusal;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// A place for data folders that the server's user may enter, also when root runs the tests.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("opened");
    place
}

async fn connect(url: &SecretString) -> PgConnection {
    PgConnection::connect(url.expose_secret())
        .await
        .expect("connected")
}

async fn run(url: &SecretString, sql: &str) {
    let mut connection = connect(url).await;
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await;
    done.expect("the statement runs");
    connection.close().await.expect("disconnected");
}

async fn ask(url: &SecretString, sql: &str) -> String {
    let mut connection = connect(url).await;
    let answer = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connection)
        .await;
    connection.close().await.expect("disconnected");
    answer.expect("one text")
}
