//! Starting, using, stopping, starting again.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use embedded_postgres::{Error, Server, Settings};
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};

use crate::{ask, place, run};

#[tokio::test]
async fn data_and_address_survive_a_restart() {
    let place = place();
    let folder = place.path().join("data");
    let mut settings = Settings::new(&folder);
    settings.port = Some(free_port());
    let first = Server::start(settings.clone()).await.expect("started");
    let address = first.url();
    run(&address, "CREATE TABLE kept AS SELECT 'here'::text AS word").await;
    first.stop().await.expect("stopped");
    let starting = tokio::spawn(Server::start(settings));
    let second = starting.await.expect("joined").expect("started again");
    assert_eq!(second.url().expose_secret(), address.expose_secret());
    assert_eq!(ask(&address, "SELECT word FROM kept").await, "here");
    second.stop().await.expect("stopped");
    let log = fs::read_to_string(folder.join("server.log")).expect("a log");
    assert!(!log.contains("not properly shut down"), "{log}");
}

#[tokio::test]
async fn the_server_is_careful_with_data_and_with_who_connects() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("data")))
        .await
        .expect("started");
    let url = server.admin_url();
    for (setting, expected) in [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
    ] {
        assert_eq!(
            ask(&url, &format!("SHOW {setting}")).await,
            expected,
            "{setting}"
        );
    }
    let methods = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules";
    assert_eq!(
        ask(&url, methods).await,
        "scram-sha-256",
        "no way in without a password"
    );
    let version = ask(&url, "SHOW server_version").await;
    assert!(version.starts_with(&server.version()), "{version}");
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_wrong_password_is_refused_on_the_port_and_on_the_socket() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("data")))
        .await
        .expect("started");
    let socket = server.data_folder().join("socket");
    let port = server.port();
    for address in [
        format!("postgres://cadastre:wrong@127.0.0.1:{port}/cadastre?sslmode=disable"),
        format!(
            "postgres://cadastre:wrong@localhost:{port}/cadastre?host={}",
            socket.display()
        ),
    ] {
        let error = PgConnection::connect(&address).await.expect_err("refused");
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("28P01"), "invalid password: {error}");
    }
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn the_application_is_no_superuser_but_owns_its_database() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("data")))
        .await
        .expect("started");
    let url = server.create_database("second").await.expect("created");
    assert_eq!(ask(&url, "SELECT current_database()::text").await, "second");
    assert_eq!(
        ask(&url, "SELECT current_setting('is_superuser')").await,
        "off"
    );
    run(
        &url,
        "CREATE SCHEMA own; CREATE TABLE own.things (); CREATE EXTENSION pg_trgm",
    )
    .await;
    let again = server
        .create_database("second")
        .await
        .expect("is there already");
    assert_eq!(again.expose_secret(), url.expose_secret());
    let refused = server.create_database("x; DROP DATABASE second").await;
    assert!(matches!(refused, Err(Error::BadName { .. })));
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn letters_beyond_ascii_are_folded_and_odd_folder_names_work() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("my data, and more")))
        .await
        .expect("started");
    assert_eq!(ask(&server.url(), "SELECT lower('ÄÉØ')").await, "äéø");
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn the_server_never_runs_as_root_and_its_secret_is_the_owners_alone() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("data")))
        .await
        .expect("started");
    let me = nix::unistd::geteuid();
    let owner = fs::metadata(server.data_folder().join("cluster/postmaster.pid"))
        .expect("there")
        .uid();
    assert_ne!(owner, 0);
    assert!(me.is_root() || owner == me.as_raw());
    let secret = fs::metadata(server.data_folder().join("secret")).expect("there");
    assert_eq!(
        (secret.uid(), secret.permissions().mode() & 0o777),
        (me.as_raw(), 0o600)
    );
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn debug_output_shows_no_password() {
    let place = place();
    let server = Server::start(Settings::new(place.path().join("data")))
        .await
        .expect("started");
    let url = server.url();
    let password = url
        .expose_secret()
        .split([':', '@'])
        .nth(2)
        .expect("a password");
    assert!(!format!("{server:?}").contains(password));
    server.stop().await.expect("stopped");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("an address").port()
}
