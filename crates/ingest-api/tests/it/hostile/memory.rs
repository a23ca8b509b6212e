//! What open sessions cost the server's process.

use std::fs;

use serde_json::json;

use super::Register;
use crate::client::Call;

/// Far less than a buffer per session would take.
const MOST_GROWTH_KIB: u64 = 32 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.expect("its memory").split_whitespace();
    words.take(1).collect::<String>().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_open_sessions_take_no_more_memory_than_ten() {
    let register = Register::start().await;
    let open = async |range: std::ops::Range<u32>| {
        for n in range {
            let body = json!({"systemId": register.system_id, "entity": "principals", "syncMode": "full",
                "scope": {"principalType": format!("Type{n}")}});
            let call = Call::post("/api/ingest/sessions", &body);
            register.client.insist(&call).await.expect(201);
        }
    };
    open(0..10).await;
    let with_ten = resident_kib(register.server.pid());
    open(10..1_000).await;
    let with_a_thousand = resident_kib(register.server.pid());
    println!("{with_ten} KiB, then {with_a_thousand} KiB");
    assert!(with_a_thousand < with_ten + MOST_GROWTH_KIB);
}
