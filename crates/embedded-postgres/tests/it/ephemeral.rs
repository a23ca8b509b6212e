//! Throw-away servers leave nothing behind.

use std::path::Path;

use embedded_postgres::{Error, Server, Settings};

use crate::child::{Owner, eventually};
use crate::place;

#[tokio::test]
async fn stopping_removes_the_folder() {
    let place = place();
    let folder = place.path().join("data");
    let server = Server::start(Settings::ephemeral(&folder))
        .await
        .expect("started");
    assert!(folder.exists());
    server.stop().await.expect("stopped");
    assert!(!folder.exists());
}

#[tokio::test]
async fn dropping_removes_the_folder_soon() {
    let place = place();
    let folder = place.path().join("data");
    drop(
        Server::start(Settings::ephemeral(&folder))
            .await
            .expect("started"),
    );
    eventually("the folder is gone", || !folder.exists()).await;
}

#[tokio::test]
async fn a_lasting_server_is_never_made_ephemeral() {
    let place = place();
    let folder = place.path().join("data");
    Server::start(Settings::new(&folder))
        .await
        .expect("started")
        .stop()
        .await
        .expect("stopped");
    let refused = Server::start(Settings::ephemeral(&folder)).await;
    assert!(matches!(refused, Err(Error::WouldBeLost { .. })));
    assert!(folder.join("cluster/PG_VERSION").exists());
}

#[tokio::test]
async fn the_test_server_is_gone_after_the_test_process_ended() {
    let mut owner = Owner::of_test_database();
    let cluster = owner.said.clone();
    assert!(Path::new(&cluster).exists());
    owner.let_end();
    let folder = Path::new(&cluster).parent().expect("the data folder");
    eventually("the folder is gone", || !folder.exists()).await;
}

#[tokio::test]
async fn the_test_server_is_gone_after_the_test_process_was_killed() {
    let mut owner = Owner::of_test_database();
    let cluster = owner.said.clone();
    owner.kill();
    let folder = Path::new(&cluster).parent().expect("the data folder");
    eventually("the folder is gone", || !folder.exists()).await;
}
