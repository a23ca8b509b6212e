//! Keys: the same one several times, and different ones that look the same (B07, B08).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn of_one_id_three_times_in_whatever_case_the_last_record_is_kept() {
    let app = TestApp::start().await;
    let id = "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10";
    for mode in ["full", "delta"] {
        for (ids, names) in [
            ([id, id, id], ["Ada", "Ada", "Ada"]),
            ([id, id, id], ["Ada", "Bo", "Cy"]),
            (
                [
                    id,
                    &id.to_uppercase(),
                    "6F1C3f2e-7a55-4A8E-9a71-0d5f5a1f9B10",
                ],
                ["Bo", "Cy", "Dee"],
            ),
        ] {
            let records: Value = ids
                .iter()
                .zip(names)
                .map(|(id, name)| json!({"id": id, "displayName": name}))
                .collect();
            let answer = app
                .ingest("principals", records, json!({"syncMode": mode}))
                .await
                .expect(201);
            assert_eq!(answer["duplicates"], 2, "{mode} {names:?}: {answer}");
            assert_eq!(answer["rejected"], 0);
            let kept: Vec<(String, String)> =
                sqlx::query_as("select id::text, display_name from principals")
                    .fetch_all(&app.pool)
                    .await
                    .expect("rows");
            assert_eq!(kept, [(id.to_owned(), names[2].to_owned())], "{mode}");
        }
    }
}

#[tokio::test]
async fn ids_that_look_the_same_are_different_rows() {
    let app = TestApp::start().await;
    let ids = [
        "user",
        "User",
        "u\u{455}er",
        "us\u{200b}er",
        "user ",
        " user",
        "user\n",
        "\u{202e}user",
        "us\u{e9}r",
        "use\u{301}r",
        "\u{ff55}ser",
        "../user",
    ];
    let records = || -> Value {
        ids.iter()
            .map(|id| json!({"externalId": id, "displayName": id}))
            .collect()
    };
    for (round, envelope) in [
        json!({}),
        json!({"idGeneration": "deterministic", "idPrefix": "hr-principals"}),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = app
            .ingest("principals", records(), envelope.clone())
            .await
            .expect(201);
        assert_eq!(
            (&answer["inserted"], &answer["duplicates"]),
            (&json!(ids.len()), &json!(0)),
            "{answer}"
        );
        let again = app
            .ingest("principals", records(), envelope)
            .await
            .expect(201);
        assert_eq!(again["unchanged"], ids.len());
        let kept: Vec<(String, String)> =
            sqlx::query_as("select external_id, display_name from principals")
                .fetch_all(&app.pool)
                .await
                .expect("rows");
        assert_eq!(kept.len(), ids.len() * (round + 1));
        assert!(kept.iter().all(|(external, name)| external == name));
        let kept: BTreeSet<&str> = kept.iter().map(|(external, _)| external.as_str()).collect();
        assert_eq!(kept, BTreeSet::from(ids));
    }
}
