//! A slow line between the server and its database.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use url::Url;

/// How long each answer of the database is under way.
const DELAY: Duration = Duration::from_millis(4);

/// Opens a line to the database with this address; answers the address of its other end. It lasts as long as the test.
pub async fn slow_line(database: &str) -> String {
    let mut address = Url::parse(database).expect("an address");
    let port = address.port().expect("a port");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let other_end = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                continue;
            };
            near.set_nodelay(true).expect("set");
            far.set_nodelay(true).expect("set");
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(from_near, to_far, Duration::ZERO));
            tokio::spawn(carry(from_far, to_near, DELAY));
        }
    });
    address.set_host(Some("127.0.0.1")).expect("a host");
    address.set_port(Some(other_end.port())).expect("a port");
    address.into()
}

/// Until either end is closed.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(delay).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
