//! What is refused, and what the refusal says.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use embedded_postgres::{Error, Server, Settings};

use crate::child::Owner;
use crate::{ask, place};

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_holds_the_folder() {
    let place = place();
    let folder = place.path().join("data");
    let mut owner = Owner::of(&folder);
    let error = Server::start(Settings::new(&folder))
        .await
        .expect_err("refused");
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", owner.process.id())),
        "{error}"
    );
    owner.kill();
}

#[tokio::test]
async fn a_cluster_of_somebody_elses_is_never_touched() {
    let place = place();
    let folder = place.path().join("data");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("PG_VERSION"), "15\n").expect("written");
    let error = Server::start(Settings::new(&folder))
        .await
        .expect_err("refused");
    assert!(
        matches!(&error, Error::NotOurs { found, .. } if found == "PG_VERSION"),
        "{error}"
    );
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_refused() {
    let place = place();
    let folder = place.path().join("data");
    Server::start(Settings::new(&folder))
        .await
        .expect("started")
        .stop()
        .await
        .expect("stopped");
    fs::write(folder.join("cluster/PG_VERSION"), "9\n").expect("written");
    let error = Server::start(Settings::new(&folder))
        .await
        .expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("was made by PostgreSQL 9, but this machine has "),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_secret_is_named() {
    let place = place();
    let folder = place.path().join("data");
    Server::start(Settings::new(&folder))
        .await
        .expect("started")
        .stop()
        .await
        .expect("stopped");
    fs::remove_file(folder.join("secret")).expect("removed");
    let error = Server::start(Settings::new(&folder))
        .await
        .expect_err("refused");
    assert!(
        error.to_string().contains("/data/secret is missing"),
        "{error}"
    );
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let place = place();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut settings = Settings::new(place.path().join("data"));
    let port = listener.local_addr().expect("an address").port();
    settings.port = Some(port);
    let error = Server::start(settings).await.expect_err("refused");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert!(matches!(error, Error::PortTaken { .. }));
}

#[tokio::test]
async fn a_failed_start_quotes_the_servers_log() {
    let place = place();
    let mut settings = Settings::new(place.path().join("data"));
    settings
        .configuration
        .push(("shared_buffers".into(), "plenty".into()));
    let error = Server::start(settings).await.expect_err("refused");
    assert!(
        error
            .to_string()
            .contains(r#"invalid value for parameter "shared_buffers": "plenty""#),
        "{error}"
    );
}

#[tokio::test]
async fn a_folder_that_the_servers_user_cannot_enter_is_named() {
    let place = place();
    let closed = place.path().join("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("closed");
    let started = Server::start(Settings::new(closed.join("data"))).await;
    if nix::unistd::geteuid().is_root() {
        let error = started.expect_err("the server runs as somebody else");
        assert!(error.to_string().contains("/closed"), "{error}");
        assert!(matches!(error, Error::NotTraversable { .. }));
    } else {
        let server = started.expect("the server runs as ourselves");
        assert_eq!(ask(&server.url(), "SELECT 'in'::text").await, "in");
        server.stop().await.expect("stopped");
    }
}
