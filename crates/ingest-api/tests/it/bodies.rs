//! Bodies: what may be sent how, and what becomes of bad ones.

use std::io::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    app::{Answer, TestApp, id, people},
    pressure::with_patience,
};

pub const PRINCIPALS: &str = "/api/ingest/principals";

pub async fn post(app: &TestApp, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let mut request = app.request(Method::POST, PRINCIPALS);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = app.send(request.body(body.into())).await;
    assert!(!answer.status.is_server_error(), "{}", answer.body);
    if answer.status.is_client_error() {
        assert_eq!(answer.content_type, "application/problem+json");
    }
    answer
}

pub const JSON: (&str, &str) = ("Content-Type", "application/json");
pub const LINES: (&str, &str) = ("Content-Type", "application/x-ndjson");

/// Posts one bad record text among good ones; answers the call.
async fn among_good(app: &TestApp, record: &str) -> Value {
    let body = format!(
        r#"{{"systemId":{},"records":[{{"id":"{}","displayName":"good"}},{record},{{"id":"{}","displayName":"good"}}]}}"#,
        app.system_id,
        id(1),
        id(2)
    );
    let answer = post(app, &[JSON], body).await.expect(201);
    let good = |field: &str| answer[field].as_u64().expect("a count");
    let refused = good("rejected");
    assert_eq!(good("records"), 3);
    assert_eq!(
        good("inserted") + good("updated") + good("unchanged"),
        3 - refused
    );
    answer
}

/// The refused records of a load: index, pointer, code.
async fn quarantine(app: &TestApp, answer: &Value) -> Vec<(u64, String, String)> {
    let sync_id = answer["syncId"].as_str().expect("an id");
    let page = app
        .get(&format!("/api/ingest/rejected?syncId={sync_id}"))
        .await
        .expect(200);
    let text = |item: &Value, field: &str| item[field].as_str().expect("text").to_owned();
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| {
            (
                item["recordIndex"].as_u64().expect("a number"),
                text(item, "pointer"),
                text(item, "code"),
            )
        })
        .collect()
}

/// A line with principal number `n`.
pub fn person(n: u32) -> String {
    format!("{{\"id\":\"{}\",\"displayName\":\"Ada {n}\"}}\n", id(n))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).expect("in memory");
    gzip.finish().expect("in memory")
}

#[tokio::test]
async fn a_hundred_thousand_records_are_one_call_and_one_more_is_too_many() {
    let app = with_patience().await;
    let mut lines = format!("{}\n", json!({"systemId": app.system_id}));
    for n in 0..100_000 {
        lines += &person(n);
    }
    let zstd = zstd::encode_all(lines.as_bytes(), 1).expect("in memory");
    let answer = post(&app, &[LINES, ("Content-Encoding", "zstd")], zstd)
        .await
        .expect(201);
    assert_eq!(
        (&answer["records"], &answer["inserted"]),
        (&json!(100_000), &json!(100_000))
    );
    assert_eq!(app.memory.taken(), 0, "all memory was given back");

    let refused = post(&app, &[LINES], lines + "null").await.expect(413);
    assert!(
        refused["detail"].as_str().expect("text").contains("100000"),
        "{refused}"
    );
    let none = app
        .ingest("principals", json!([]), json!({}))
        .await
        .expect(201);
    assert_eq!(
        (&none["records"], &none["inserted"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        app.count("select count(*) from principals where deleted_at is null")
            .await,
        100_000
    );
}

#[tokio::test]
async fn bad_values_in_some_of_ten_thousand_records_refuse_only_these() {
    let app = TestApp::start().await;
    let mut records = people(0..10_000, "Ada");
    records[17]["createdDateTime"] = json!("2026-02-30T00:00:00Z");
    records[1_234]["accountEnabled"] = json!("perhaps");
    records[5_000]["id"] = json!("no-uuid");
    records[7_777]["displayName"] = json!("a\0b");
    records[9_999] = Value::Null;
    let answer = app
        .ingest("principals", records, json!({"syncMode": "full"}))
        .await
        .expect(201);
    assert_eq!(
        (&answer["inserted"], &answer["rejected"]),
        (&json!(9_996), &json!(4))
    );
    assert_eq!(answer["replacedCharacters"], 1);
    let expected = [
        (17, "/createdDateTime", "invalid_date"),
        (1_234, "/accountEnabled", "type"),
        (5_000, "/id", "invalid_uuid"),
        (9_999, "", "type"),
    ];
    let expected =
        expected.map(|(index, pointer, code)| (index, pointer.to_owned(), code.to_owned()));
    assert_eq!(quarantine(&app, &answer).await, expected);
    assert_eq!(app.count("select count(*) from principals").await, 9_996);
}

#[tokio::test]
async fn fields_may_stand_before_and_behind_the_records() {
    let app = TestApp::start().await;
    app.ingest(
        "principals",
        people(0..20, "Ada"),
        json!({"syncMode": "full"}),
    )
    .await
    .expect(201);
    let records = people(0..19, "Eve");
    let system = app.system_id;
    let gone = id(0);
    for (n, (before, behind)) in [
        (String::new(), format!(r#","systemId":{system},"syncMode":"full""#)),
        (format!(r#""systemId":{system},"#), r#","syncMode":"full","scope":{}"#.into()),
        (format!(r#""systemId":{system},"syncMode":"full","scope":null,"#), r#","complete":true"#.into()),
        // Everything that decides is there: the records are read at once, and what follows still counts.
        (
            format!(r#""systemId":{system},"syncMode":"delta","scope":{{}},"idGeneration":"native","syncSession":null,"#),
            format!(r#","deletedIds":["{gone}"],"sourceFilter":"x""#),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("{{{before}\"records\":{records}{behind}}}");
        let answer = post(&app, &[JSON], body).await.expect(201);
        let counts = (&answer["updated"], &answer["unchanged"], &answer["deleted"]);
        let expected = [(19, 0, 1), (0, 19, 0), (0, 19, 0), (0, 19, 1)][n];
        assert_eq!(counts, (&json!(expected.0), &json!(expected.1), &json!(expected.2)), "{answer}");
    }
    let late = format!(
        r#"{{"systemId":{system},"syncMode":"delta","scope":{{}},"idGeneration":"native","syncSession":null,"records":[],"sourceFilter":"{}"}}"#,
        "x".repeat(201)
    );
    post(&app, &[JSON], late).await.expect(400);
}

#[tokio::test]
async fn text_that_is_no_unicode_is_refused_or_replaced() {
    let app = TestApp::start().await;
    let call = |text: &[u8]| {
        let head = format!(
            r#"{{"systemId":{},"records":[{{"id":"{}","displayName":""#,
            app.system_id,
            id(1)
        );
        [head.as_bytes(), text, b"\"}]}"].concat()
    };
    for bad in [
        &b"a\0b"[..],
        b"a\nb",
        b"\xff",
        b"\xf8\x88\x80\x80\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80",
        b"\xe2\x82",
    ] {
        post(&app, &[JSON], call(bad)).await.expect(400);
    }
    post(
        &app,
        &[JSON],
        [b"\xef\xbb\xbf", call(b"a").as_slice()].concat(),
    )
    .await
    .expect(400);
    assert_eq!(app.count("select count(*) from principals").await, 0);
    for (sent, kept, replaced) in [
        (r"\ud800", "\u{FFFD}", 1),
        (r"\udc00\ud800", "\u{FFFD}\u{FFFD}", 2),
        (r"\ud83d\ude00", "😀", 0),
        ("😀é", "😀é", 0),
        (r"\u0000", "\u{FFFD}", 1),
    ] {
        let answer = post(&app, &[JSON], call(sent.as_bytes())).await.expect(201);
        assert_eq!(
            answer["replacedCharacters"].as_u64().unwrap_or(0),
            replaced,
            "{sent}"
        );
        let name: String = sqlx::query_scalar("select display_name from principals")
            .fetch_one(&app.pool)
            .await
            .expect("a row");
        assert_eq!(name, kept);
    }
    let key = format!(r#"{{"id":"{}","displayName":"a","b\u0000c":1}}"#, id(3));
    assert_eq!(among_good(&app, &key).await["replacedCharacters"], 1);
    let own_id = r#"{"id":"a\u0000b","displayName":"a"}"#;
    assert_eq!(
        among_good(&app, own_id).await["errors"][0]["code"],
        "invalid_uuid"
    );
}

#[tokio::test]
async fn deep_long_and_large_numbered_records_are_refused_alone() {
    let app = with_patience().await;
    let person = |more: &str| format!(r#"{{"id":"{}","displayName":"a","x":{more}}}"#, id(3));
    for (depth, is_good) in [
        (15, true),
        (32, false),
        (127, false),
        (128, false),
        (200, false),
        (100_000, false),
    ] {
        let answer = among_good(&app, &person(&("[".repeat(depth) + &"]".repeat(depth)))).await;
        assert_eq!(answer["rejected"] == 0, is_good, "{depth}");
        if !is_good {
            assert_eq!(answer["errors"][0]["code"], "too_deep");
            assert_eq!(quarantine(&app, &answer).await.len(), 1);
        }
    }
    let million = "x".repeat(1_000_000 * 10);
    let answer = among_good(&app, &person(&format!("\"{million}\""))).await;
    assert_eq!(answer["errors"][0]["code"], "too_long");
    let answer = among_good(&app, &format!(r#"{{"id":"{million}","displayName":"a"}}"#)).await;
    assert_eq!(answer["rejected"], 1);
    assert!(
        answer.to_string().len() < 2_000,
        "nothing long is sent back"
    );

    for (number, code) in [
        ("1e400", "invalid_json"),
        ("1e130000", "invalid_json"),
        (
            "1234567890123456789012345678901234567890",
            "number_out_of_range",
        ),
        ("18446744073709551617", "number_out_of_range"),
        ("NaN", "invalid_json"),
        ("+1", "invalid_json"),
        ("0x1", "invalid_json"),
    ] {
        let answer = among_good(&app, &person(number)).await;
        assert_eq!(answer["errors"][0]["code"], code, "{number}");
    }
    let many = format!("[{}0]", "1e130000,".repeat(1_000));
    let answer = among_good(&app, &person(&many)).await;
    assert!(
        answer.to_string().len() < many.len(),
        "the answer is no larger than the question"
    );
    for (number, becomes) in [("1.0", 1), ("1.00", 0), ("-0", 1)] {
        let answer = among_good(&app, &person(number)).await;
        assert_eq!(answer["updated"], becomes, "{number}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_refused_as_a_whole() {
    let app = with_patience().await;
    let good = json!({"systemId": app.system_id, "records": people(0..3, "Ada")}).to_string();
    let secret = "s".repeat(5_000);
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        format!("{good}{good}"),
        format!("{good} x"),
        good[..good.len() - 1].to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace(r#""records":"#, r#""records":[],"records":"#),
        good.replace(
            r#""records":"#,
            r#""scope":{"principalType":"User","principalType":"User"},"records":"#,
        ),
        good.replace("},{", "} {"),
        good.replace("},{", "},,{"),
        good.replace(r#""records":"#, &format!(r#""{secret}":1,"records":"#)),
        good.replace(
            r#""records":"#,
            &format!(r#""syncMode":"{secret}","records":"#),
        ),
        format!("{{\"systemId\":\"{secret}\",\"records\":[]}}"),
    ] {
        let answer = post(&app, &[JSON], body).await.expect(400);
        assert!(
            !answer.to_string().contains(&secret[..201]),
            "nothing long is sent back"
        );
    }
    for (headers, status) in [
        (vec![("Content-Type", "text/plain")], 415),
        (vec![], 415),
        (vec![JSON, ("Content-Encoding", "br")], 415),
        (vec![JSON, ("Content-Encoding", "gzip, gzip")], 415),
        (
            vec![
                JSON,
                ("Content-Encoding", "gzip"),
                ("Content-Encoding", "gzip"),
            ],
            415,
        ),
        (vec![JSON, ("Content-Encoding", "gzip")], 400),
        (vec![JSON, ("Content-Encoding", "zstd")], 400),
    ] {
        post(&app, &headers, good.clone()).await.expect(status);
    }
    let twice = gzip(&gzip(good.as_bytes()));
    post(&app, &[JSON, ("Content-Encoding", "gzip")], twice)
        .await
        .expect(400);
    let cut = gzip(good.as_bytes());
    post(
        &app,
        &[JSON, ("Content-Encoding", "gzip")],
        &cut[..cut.len() - 3],
    )
    .await
    .expect(400);
    assert_eq!(app.count("select count(*) from principals").await, 0);
    post(&app, &[JSON], good).await.expect(201);
}
