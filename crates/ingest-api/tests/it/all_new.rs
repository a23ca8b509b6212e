//! Batches that are taken for new from end to end, and are not.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::app::{TestApp, id, people};

async fn bring(app: &TestApp, records: Value) -> [u64; 3] {
    let answer = app
        .ingest("principals", records, json!({"syncMode": "delta"}))
        .await
        .expect(201);
    ["inserted", "updated", "unchanged"].map(|count| answer[count].as_u64().expect("a count"))
}

#[tokio::test]
async fn a_row_among_new_ones_that_is_there_already_is_compared_as_ever() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::start().await;
    let full = |records: Value| {
        app.ingest(
            "principals",
            records,
            json!({"syncMode": "full", "complete": false}),
        )
    };
    full(people(1000..1300, "Ada")).await.expect(201);
    full(people(2000..2300, "Ada")).await.expect(201);
    // One at a random place, which a sample may miss: as it was, changed, or removed before.
    for first in (3000..9000).step_by(1000) {
        let known = first + rng.random_range(0..300);
        bring(&app, people(known..known + 1, "Ada")).await;
        let (word, expected) = match first / 1000 % 3 {
            0 => ("Ada", (299, 0, 1)),
            1 => ("Eve", (299, 1, 0)),
            _ => {
                app.ingest("principals", json!([]), json!({"deletedIds": [id(known)]}))
                    .await
                    .expect(201);
                ("Ada", (299, 1, 0))
            }
        };
        // New from end to end, so that the next one is expected to be.
        let before = full(people(first + 400..first + 700, "Ada"))
            .await
            .expect(201);
        assert_eq!(before["inserted"], 300);
        let answer = full(people(first..first + 300, word)).await.expect(201);
        assert_eq!(
            (
                &answer["inserted"],
                &answer["updated"],
                &answer["unchanged"]
            ),
            (&json!(expected.0), &json!(expected.1), &json!(expected.2)),
            "batch {first}, row {known}"
        );
    }
    let live = app
        .count("select count(*) from principals where deleted_at is null")
        .await;
    assert_eq!(live, 600 + 6 * 600);
}
