//! An answer in the 2xx range survives the death of the server and of PostgreSQL (F14, F15).

use std::time::Duration;

use rand::RngExt as _;

use super::{Register, writers::Writers};

const WRITERS: u32 = 4;

/// A moment, so that the next blow falls anywhere in the work.
async fn some_time() {
    let pause = rand::rng().random_range(0..200);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_of_the_server_and_no_batch_is_there_in_part() {
    let mut register = Register::start().await;
    let mut watcher = register.postgres.connect().await;
    let mut writers = Writers::start(&register.client, register.system_id, WRITERS);
    for _ in 0..5 {
        writers.progress(8).await;
        some_time().await;
        register.server.kill();
        writers.check(&mut watcher).await;
        register.server.start_again().await;
    }
    writers.progress(8).await;
    writers.finish(&mut watcher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_of_postgres_and_the_server_finds_back_by_itself() {
    let mut register = Register::start().await;
    let server = register.server.pid();
    let mut writers = Writers::start(&register.client, register.system_id, WRITERS);
    for _ in 0..3 {
        writers.progress(8).await;
        some_time().await;
        register.postgres.kill().await;
        some_time().await;
        register.postgres.start_again().await;
        let mut watcher = register.postgres.connect().await;
        writers.check(&mut watcher).await;
    }
    writers.progress(8).await;
    let mut watcher = register.postgres.connect().await;
    writers.finish(&mut watcher).await;
    assert!(register.server.is_up(), "it was not started again");
    assert_eq!(register.server.pid(), server);
}
