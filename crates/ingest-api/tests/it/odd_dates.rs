//! Dates that sources send: read, absent, or refused with their record; never an error of the server (B18).

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::app::{TestApp, id};

#[tokio::test]
async fn a_date_is_read_absent_or_refused_with_its_record_alone() {
    let app = TestApp::start().await;
    for (sent, expected) in [
        ("2026-01-31T08:00:00Z", Ok(Some("2026-01-31T08:00:00Z"))),
        (
            "2026-01-31T08:00:00.123456789Z",
            Ok(Some("2026-01-31T08:00:00.123456Z")),
        ),
        ("2026-01-31t08:00:00z", Ok(Some("2026-01-31T08:00:00Z"))),
        (
            "2026-01-31T08:00:00+14:00",
            Ok(Some("2026-01-30T18:00:00Z")),
        ),
        ("2016-12-31T23:59:60Z", Ok(Some("2017-01-01T00:00:00Z"))),
        ("0002-01-01T00:00:00Z", Ok(Some("0002-01-01T00:00:00Z"))),
        ("0000-01-01T00:00:00Z", Ok(None)),
        ("0001-01-01T00:00:00Z", Ok(None)),
        ("9999-12-31T23:59:59.9999999Z", Ok(None)),
        ("9999-12-31T23:59:59-12:00", Ok(None)),
        ("294277-01-01T00:00:00Z", Err("invalid_date")),
        ("+10000-01-01T00:00:00Z", Err("invalid_date")),
        ("-0001-01-01T00:00:00Z", Err("invalid_date")),
        ("2026-01-31T08:00:00", Err("invalid_date")),
        ("2026-01-31", Err("invalid_date")),
        ("2026-02-29T08:00:00Z", Err("invalid_date")),
        ("2026-01-31T24:00:00Z", Err("invalid_date")),
        ("2026-01-31T08:00:00+24:00", Err("invalid_date")),
        ("infinity", Err("invalid_date")),
        ("", Err("invalid_date")),
    ] {
        for mode in ["full", "delta"] {
            let records = json!([
                {"id": id(1), "displayName": "good"},
                {"id": id(2), "displayName": "dated", "createdDateTime": sent, "said": sent},
            ]);
            let envelope = json!({"syncMode": mode, "complete": false});
            let answer = app
                .ingest("principals", records, envelope)
                .await
                .expect(201);
            let code = answer["errors"][0]["code"].as_str();
            assert_eq!(code, expected.err(), "{mode} {sent}: {answer}");
            let Ok(expected) = expected else { continue };
            let kept: (Option<DateTime<Utc>>, String) = sqlx::query_as(
                "select created_date_time, extended_attributes->>'said' from principals where id = $1",
            )
            .bind(id(2))
            .fetch_one(&app.pool)
            .await
            .expect("the row");
            let expected = expected.map(|text| text.parse().expect("a date"));
            assert_eq!(kept, (expected, sent.to_owned()), "{mode}");
        }
    }
}
