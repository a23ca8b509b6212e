//! Callers that write all the time, what they were told, and whether that is so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use contract::SystemId;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    app::id,
    client::{Call, Client},
};

/// Records of a batch. They share a mark, so that part of a batch would be seen.
const RECORDS: u32 = 20;
/// A guard against waiting for ever, no promise.
const PATIENCE: Duration = Duration::from_secs(180);

type Marks = Arc<Mutex<BTreeSet<String>>>;

/// Writers, each with a full load of a scope of its own.
pub struct Writers {
    tasks: JoinSet<u32>,
    acknowledged: Marks,
    stop: CancellationToken,
}

impl Writers {
    pub fn start(client: &Client, system_id: SystemId, count: u32) -> Self {
        let mut writers = Self {
            tasks: JoinSet::new(),
            acknowledged: Marks::default(),
            stop: CancellationToken::new(),
        };
        for number in 0..count {
            let writer = Writer {
                number,
                system_id,
                client: client.clone(),
                acknowledged: Arc::clone(&writers.acknowledged),
                stop: writers.stop.clone(),
            };
            writers.tasks.spawn(writer.run());
        }
        writers
    }

    /// Waits until some more batches were acknowledged.
    pub async fn progress(&mut self, batches: usize) {
        let wanted = self.acknowledged().len() + batches;
        let give_up = Instant::now() + PATIENCE;
        while self.acknowledged().len() < wanted {
            if let Some(ended) = self.tasks.try_join_next() {
                panic!("a writer ended: {ended:?}");
            }
            assert!(Instant::now() < give_up, "no batch is acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn acknowledged(&self) -> BTreeSet<String> {
        let marks = self.acknowledged.lock();
        marks.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every acknowledged batch is there and whole; what was not acknowledged is there whole, or not at all.
    pub async fn check(&self, connection: &mut PgConnection) {
        let acknowledged = self.acknowledged();
        let found = marks(connection).await;
        for (mark, rows) in &found {
            assert_eq!(*rows, i64::from(RECORDS), "part of batch {mark}");
        }
        let lost: Vec<&String> = acknowledged
            .iter()
            .filter(|mark| !found.contains_key(*mark))
            .collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    /// Ends the loads and checks that each batch came to be exactly once.
    pub async fn finish(mut self, connection: &mut PgConnection) {
        self.stop.cancel();
        let mut batches = 0;
        while let Some(ended) = self.tasks.join_next().await {
            batches += ended.expect("a writer ends well");
        }
        self.check(connection).await;
        assert_eq!(marks(connection).await.len(), batches as usize);
        let rewritten: i64 = sqlx::query_scalar("select count(*) from history")
            .fetch_one(connection)
            .await
            .expect("a number");
        assert_eq!(rewritten, 0, "no row was written twice");
        println!("{batches} batches of {RECORDS} records");
    }
}

async fn marks(connection: &mut PgConnection) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select job_title, count(*) from principals where deleted_at is null group by job_title",
    )
    .fetch_all(connection)
    .await
    .expect("rows");
    rows.into_iter().collect()
}

struct Writer {
    number: u32,
    system_id: SystemId,
    client: Client,
    acknowledged: Marks,
    stop: CancellationToken,
}

impl Writer {
    async fn run(self) -> u32 {
        let session = self.open().await;
        let mut seq = 0;
        while !self.stop.is_cancelled() {
            let mark = format!("{}-{seq}", self.number);
            let path = format!("{session}/batches/{seq}");
            let call = Call::put(&path, &json!({"records": self.records(seq, &mark)}));
            let answer = self.client.insist(&call).await.expect(200);
            assert_eq!(answer["inserted"], RECORDS, "{mark}: {answer}");
            let mut marks = self
                .acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            marks.insert(mark);
            seq += 1;
        }
        let end = json!({"batches": seq, "complete": true});
        let commit = Call::post(&format!("{session}/commit"), &end);
        let answer = self.client.insist(&commit).await.expect(200);
        assert_eq!(answer["inserted"], seq * RECORDS, "{answer}");
        assert_eq!(answer["deleted"], 0, "all of it was seen: {answer}");
        assert_eq!(answer.get("held"), None, "{answer}");
        seq
    }

    async fn open(&self) -> String {
        let body = json!({"systemId": self.system_id, "entity": "principals", "syncMode": "full",
                          "scope": {"principalType": format!("Writer{}", self.number)}});
        let opened = self
            .client
            .insist_on(&Call::post("/api/ingest/sessions", &body))
            .await;
        let status = opened.answer.status.as_u16();
        assert!(status == 201 || (status == 409 && opened.was_in_doubt));
        let sync_id = opened.answer.body["syncId"]
            .as_str()
            .expect("an id")
            .to_owned();
        format!("/api/ingest/sessions/{sync_id}")
    }

    fn records(&self, seq: u32, mark: &str) -> Vec<Value> {
        let first = self.number * 10_000_000 + seq * RECORDS;
        (first..first + RECORDS)
            .map(|n| json!({"id": id(n), "displayName": format!("Person {n}"), "jobTitle": mark}))
            .collect()
    }
}
