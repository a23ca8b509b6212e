//! Lists, filters, sorts, exports and loads go on while attributes get columns and lose them again: no request fails, and
//! no answer differs from one without columns (L04).

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use ingest_api::attributes::Settings;
use serde_json::{Value, json};

use super::{ask, each, get};
use crate::{
    app::{TestApp, id},
    attributes::{at_once, demote, promote, server, until_is},
};

const LIST: &str = "/api/register/principals";
/// People who never change.
const FIXED: u32 = 1_200;
const WORDS: u32 = 40;
/// Numbers of four digits: in the order of numbers and in that of texts they are the same.
const FIRST_NUMBER: u32 = 1_000;

fn word(n: u32) -> String {
    format!("Word {:02}", n % WORDS)
}

/// Those whose word it is, with their numbers.
fn with_word(wanted: u32) -> impl Iterator<Item = u32> {
    (0..FIXED).filter(move |n| n % WORDS == wanted)
}

fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<Value> {
    numbers.into_iter().map(|n| json!(id(n))).collect()
}

/// Does something until it is over, and says how often; counts it with the others, too.
async fn again_and_again(
    is_over: &AtomicBool,
    all: &AtomicU32,
    mut act: impl AsyncFnMut(u32),
) -> u32 {
    let mut round = 0;
    while !is_over.load(Ordering::Relaxed) {
        act(round).await;
        round += 1;
        all.fetch_add(1, Ordering::Relaxed);
    }
    round
}

async fn filters(app: &TestApp, round: u32) {
    let wanted = round % WORDS;
    let filter = format!("displayName eq 'Fixed' and ext.word eq '{}'", word(wanted));
    let answer = get(app, LIST, &[("filter", &filter), ("count", "exact")])
        .await
        .expect(200);
    assert_eq!(each(&answer, "id"), ids(with_word(wanted)));
    assert_eq!(answer["count"]["rows"], with_word(wanted).count());
    let first = FIRST_NUMBER + round * 7 % FIXED;
    let filter = format!(
        "displayName eq 'Fixed' and ext.number ge {first} and ext.number lt {}",
        first + 30
    );
    let found = get(app, LIST, &[("filter", &filter)]).await.expect(200);
    let start = first - FIRST_NUMBER;
    assert_eq!(each(&found, "id"), ids(start..(start + 30).min(FIXED)));
}

async fn sorts(app: &TestApp) {
    let filter = ("filter", "displayName eq 'Fixed' and ext.number exists");
    let sort = [filter, ("sort", "-ext.number"), ("limit", "20")];
    let greatest = get(app, LIST, &sort).await.expect(200);
    assert_eq!(each(&greatest, "id"), ids((FIXED - 20..FIXED).rev()));

    // All pages, some of them read before a change of columns and some after it.
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut parameters = vec![
            ("filter", "displayName eq 'Fixed'"),
            ("sort", "ext.word"),
            ("limit", "250"),
            ("fields", "id"),
        ];
        parameters.extend(after.as_deref().map(|after| ("after", after)));
        let page = get(app, LIST, &parameters).await.expect(200);
        found.extend(each(&page, "id"));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ids((0..WORDS).flat_map(with_word)));
}

async fn export(app: &TestApp, round: u32) {
    let wanted = round % WORDS;
    let filter = format!("displayName eq 'Fixed' and ext.word eq '{}'", word(wanted));
    let format = ["ndjson", "csv", "parquet"][round as usize % 3];
    let parameters = [
        ("filter", filter.as_str()),
        ("fields", "id,ext.number"),
        ("format", format),
    ];
    let answer = ask(app, &app.key, &format!("{LIST}/export"), &parameters)
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = answer.bytes().await.expect("a body that ends well");
    let expected: BTreeSet<String> = with_word(wanted)
        .map(|n| format!("{} {}", id(n), FIRST_NUMBER + n))
        .collect();
    let text = || std::str::from_utf8(&body).expect("UTF-8");
    let found: BTreeSet<String> = match format {
        "parquet" => super::parquet::texts(body.clone())
            .iter()
            .map(|row| row.join(" "))
            .collect(),
        "csv" => text()
            .lines()
            .skip(1)
            .map(|line| line.replace(',', " "))
            .collect(),
        _ => text()
            .lines()
            .map(|line| {
                let row: Value = serde_json::from_str(line).expect("JSON");
                let id = row["id"].as_str().expect("an id");
                format!("{id} {}", row["extendedAttributes"]["number"])
            })
            .collect(),
    };
    assert_eq!(found, expected, "{format}");
}

/// Rows that come and change, with attributes that were never seen before.
async fn load(app: &TestApp, round: u32) {
    let records: Vec<Value> = (0..200)
        .map(|n| {
            json!({"id": id(100_000 + round % 3 * 100 + n), "displayName": "Moving", "extendedAttributes":
                {"word": word(n + round), "number": n + round, (format!("new{}", round % 50)): round}})
        })
        .collect();
    let answer = app
        .ingest("principals", records.into(), json!({"syncMode": "delta"}))
        .await
        .expect(201);
    assert_eq!(answer["rejected"], 0, "{answer}");
}

/// Columns come and go; in between, for longer than readers remember what is promoted, they stay.
async fn columns(app: &TestApp, reads: &AtomicU32) {
    for _ in 0..3 {
        let word = promote(app, "word", "text").await.expect(201);
        let number = promote(app, "number", "number").await.expect(201);
        for promotion in [&word, &number] {
            until_is(app, promotion, "ready").await;
        }
        let before = reads.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(reads.load(Ordering::Relaxed) > before, "nobody reads");
        for promotion in [&word, &number] {
            demote(app, promotion).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Opens all connections of the server: a login gives way to other tasks hundreds of times, and the readers here leave no
/// gap, so that it could take longer than a request waits for a connection.
async fn logged_in(app: &TestApp) {
    let all = (0..app.pool.options().get_max_connections()).map(|_| app.pool.acquire());
    for connection in futures_util::future::join_all(all).await {
        connection.expect("a connection");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_no_value_is_wrong_while_columns_come_and_go() {
    let app = server(Settings {
        // Longer than anybody reads who found the column ready before.
        grace: Duration::from_secs(8),
        ..at_once()
    })
    .await;
    let fixed: Vec<Value> = (0..FIXED)
        .map(|n| {
            json!({"id": id(n), "displayName": "Fixed", "word": word(n), "number": FIRST_NUMBER + n})
        })
        .collect();
    app.ingest("principals", fixed.into(), json!({}))
        .await
        .expect(201);
    logged_in(&app).await;
    let is_over = AtomicBool::new(false);
    let (reads, loads) = (AtomicU32::new(0), AtomicU32::new(0));
    let work = async {
        columns(&app, &reads).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let (filtered, sorted, exported, loaded, ()) = tokio::join!(
        again_and_again(&is_over, &reads, async |round| filters(&app, round).await),
        again_and_again(&is_over, &reads, async |_| sorts(&app).await),
        again_and_again(&is_over, &reads, async |round| export(&app, round).await),
        again_and_again(&is_over, &loads, async |round| load(&app, round).await),
        work,
    );
    for rounds in [filtered, sorted, exported, loaded] {
        assert!(rounds > 0);
    }
    // What was loaded meanwhile is what was sent last.
    let last = loaded - 1;
    let moving = (last % 3 * 100..last % 3 * 100 + 200).map(|n| id(100_000 + n));
    for (n, moving) in moving.enumerate().step_by(37) {
        let filter = format!("id eq '{moving}'");
        let row = get(&app, LIST, &[("filter", &filter)]).await.expect(200);
        let attributes = &row["items"][0]["extendedAttributes"];
        assert_eq!(attributes["number"], n as u32 + last, "{row}");
        assert_eq!(attributes["word"], word(n as u32 + last), "{row}");
    }
}
