//! Bad questions are refused with the place of the error; hostile ones find or do nothing.

use serde_json::{Value, json};

use super::{each, get, items};
use crate::app::{TestApp, id};

const ROWS: &str = "/api/register/principals";

#[tokio::test]
async fn a_bad_question_is_refused_with_its_parameter_its_place_and_what_was_expected() {
    let app = TestApp::start().await;
    for (parameter, text, position) in [
        ("filter", "displayName eq", 14),
        (
            "filter",
            "department eq 'Sales' and accountEnabled eq 'yes'",
            44,
        ),
        ("filter", "nothing eq 1", 0),
        ("sort", "displayName,,id", 12),
        ("sort", "displayName,nothing", 12),
        ("sort", "displayName,-displayName", 12),
        ("sort", "extendedAttributes", 0),
        ("sort", "id,externalId,email,surname,country", 28),
        ("fields", "displayName;id", 11),
        ("fields", "id,-id", 3),
        ("fields", "id,id", 3),
    ] {
        let answer = get(&app, ROWS, &[(parameter, text)]).await;
        assert_eq!(answer.content_type, "application/problem+json");
        let problem = answer.expect(400);
        assert_eq!(problem["position"], position, "{text}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{parameter}"));
        assert!(
            problem["detail"]
                .as_str()
                .expect("a text")
                .contains("expected")
                || problem["detail"]
                    .as_str()
                    .expect("a text")
                    .contains("twice")
                || problem["detail"]
                    .as_str()
                    .expect("a text")
                    .contains("at most")
                || problem["detail"]
                    .as_str()
                    .expect("a text")
                    .contains("sorted by")
                || problem["detail"]
                    .as_str()
                    .expect("a text")
                    .contains("begins nothing"),
            "{problem}"
        );
    }
    for parameters in [
        &[("limit", "0")][..],
        &[("limit", "1001")],
        &[("limit", "-1")],
        &[("count", "some")],
        &[("includeDeleted", "1")],
        &[("filter", "")],
        &[("nothing", "1")],
        &[("after", "x")],
        &[("after", "end")],
        &[("before", "AAAA")],
        &[("asOf", "yesterday")],
        &[("asOf", "9998-01-01T00:00:00Z")],
        &[("asOf", "2026-01-01T00:00:00Z"), ("includeDeleted", "true")],
    ] {
        get(&app, ROWS, parameters).await.expect(400);
    }
    get(
        &app,
        "/api/register/principal-activity",
        &[("asOf", "2026-01-01T00:00:00Z")],
    )
    .await
    .expect(400);
    get(&app, &format!("{ROWS}/export"), &[("format", "xlsx")])
        .await
        .expect(400);
    get(&app, &format!("{ROWS}/export"), &[("sort", "id")])
        .await
        .expect(400);
}

#[tokio::test]
async fn a_place_of_another_list_or_sort_is_refused_and_two_places_at_once_too() {
    let app = TestApp::start().await;
    app.ingest("principals", crate::app::people(1..5, "Ada"), json!({}))
        .await
        .expect(201);
    let page = get(&app, ROWS, &[("limit", "2"), ("sort", "displayName")])
        .await
        .expect(200);
    let next = page["next"].as_str().expect("more");
    get(&app, ROWS, &[("after", next), ("sort", "displayName")])
        .await
        .expect(200);
    get(&app, ROWS, &[("after", next)]).await.expect(400);
    get(&app, ROWS, &[("after", next), ("sort", "-displayName")])
        .await
        .expect(400);
    get(
        &app,
        ROWS,
        &[("after", next), ("before", next), ("sort", "displayName")],
    )
    .await
    .expect(400);
    get(
        &app,
        "/api/register/resources",
        &[("after", next), ("sort", "displayName")],
    )
    .await
    .expect(400);
    // A page behind the last row leads back.
    let all = get(&app, ROWS, &[("sort", "displayName")])
        .await
        .expect(200);
    assert_eq!(
        (items(&all).len(), &all["next"], &all["previous"]),
        (4, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn what_looks_like_sql_is_a_value_or_a_name_and_nothing_else() {
    let app = TestApp::start().await;
    let odd = [
        "'; drop table principals; --",
        "x\"; drop table principals; --",
        "$1",
        "' or '1'='1",
        "%",
        "_",
        "\\",
        "\\'",
        "/* */",
        "\u{1f600}",
        "\u{202e}abc",
        "pg_sleep(5)",
        "e'\\x27'",
        "a\nb\tc",
    ];
    let records: Value = odd
        .iter()
        .enumerate()
        .map(|(number, text)| {
            json!({"id": id(number as u32), "displayName": text, "extendedAttributes": {*text: text}})
        })
        .collect();
    let answer = app
        .ingest("principals", records, json!({}))
        .await
        .expect(201);
    assert_eq!(answer["rejected"], 0, "{answer}");
    for (number, text) in odd.iter().enumerate() {
        let (name, value) = (text.replace('"', "\"\""), text.replace('\'', "''"));
        let this = [json!(id(number as u32))];
        for filter in [
            format!("displayName eq '{value}'"),
            format!("lower(displayName) eq '{value}'"),
            format!("displayName in ('{value}', 'nobody')"),
            format!("ext.\"{name}\" eq '{value}'"),
            format!("ext.\"{name}\" exists"),
        ] {
            let answer = get(&app, ROWS, &[("filter", &filter)]).await.expect(200);
            assert_eq!(each(&answer, "id"), this, "{filter}");
        }
        // What is between the quotes finds itself, not everything.
        for word in ["contains", "startsWith"] {
            let filter = format!("displayName {word} '{value}'");
            let answer = get(&app, ROWS, &[("filter", &filter)]).await.expect(200);
            let holding = odd.iter().filter(|other| {
                if word == "contains" {
                    other.contains(text)
                } else {
                    other.starts_with(text)
                }
            });
            assert_eq!(items(&answer).len(), holding.count(), "{filter}");
        }
        let sort = format!("-ext.\"{name}\"");
        let fields = format!("id,ext.\"{name}\"");
        let answer = get(
            &app,
            ROWS,
            &[("sort", &sort), ("fields", &fields), ("limit", "1")],
        )
        .await
        .expect(200);
        assert_eq!(
            items(&answer),
            [json!({"id": this[0], "extendedAttributes": {*text: text}})]
        );
        let after = [
            ("sort", sort.as_str()),
            ("after", answer["next"].as_str().expect("more")),
        ];
        assert_eq!(
            items(&get(&app, ROWS, &after).await.expect(200)).len(),
            odd.len() - 1
        );
    }
    assert_eq!(
        app.count("select count(*) from principals").await,
        odd.len() as i64
    );
}

/// Sends a filter without a client that has limits of its own; answers the status, or nothing.
async fn send_as_it_is(app: &TestApp, filter: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(app.address())
        .await
        .expect("connects");
    let filter = filter.replace(' ', "%20").replace('\'', "%27");
    let request = format!(
        "GET {ROWS}?filter={filter} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        app.key
    );
    // Both may fail when the server has heard enough.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer).await;
    read.map_or(String::new(), |_| {
        String::from_utf8_lossy(&answer[9..]).into_owned()
    })
}

#[tokio::test]
async fn texts_that_are_too_much_are_refused_and_the_server_goes_on() {
    let app = TestApp::start().await;
    let long = "x".repeat(1_000_000);
    for filter in [
        format!("displayName eq '{long}'"),
        format!("{}id exists{}", "(".repeat(500_000), ")".repeat(500_000)),
        "not ".repeat(250_000),
    ] {
        // The request line itself is too long: the server says so, or has hung up.
        let status = send_as_it_is(&app, &filter).await;
        assert!(
            ["", "400", "414", "431"].contains(&status.as_str()),
            "{status}"
        );
    }
    for filter in [
        format!("displayName eq '{}'", &long[..9_000]),
        format!("{}id exists{}", "(".repeat(4_000), ")".repeat(4_000)),
        "not ".repeat(2_000),
        "id in (".to_owned() + &"'',".repeat(2_000),
        "id eq 1 or ".repeat(500),
        "a\0b".to_owned(),
        "displayName eq '\0'".to_owned(),
    ] {
        get(&app, ROWS, &[("filter", &filter)]).await.expect(400);
    }
    get(&app, ROWS, &[("after", &"A".repeat(10_000))])
        .await
        .expect(400);
    get(&app, ROWS, &[]).await.expect(200);
}
