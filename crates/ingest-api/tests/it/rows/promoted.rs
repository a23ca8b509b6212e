//! An attribute with a column of its own answers as the JSON does, in filters, and by its type when sorted.

use std::time::Duration;

use serde_json::{Value, json};

use super::{each, get};
use crate::{
    app::id,
    attributes::{at_once, promoted_now, server},
};

#[tokio::test]
async fn a_promoted_attribute_is_filtered_as_before_and_sorted_as_what_it_is() {
    let app = server(at_once()).await;
    let shoes = [
        json!(9),
        json!("38.5"),
        json!("big"),
        Value::Null,
        json!(100),
    ];
    let records: Value = shoes
        .iter()
        .enumerate()
        .map(|(number, shoe)| json!({"id": id(number as u32), "displayName": "Ada", "shoe": shoe, "hat": 5}))
        .collect();
    app.ingest("principals", records, json!({}))
        .await
        .expect(201);
    let ids = |numbers: &[u32]| -> Vec<Value> {
        numbers.iter().map(|number| json!(id(*number))).collect()
    };
    let filters = [
        ("ext.shoe gt 9", vec![1, 4]),
        ("ext.shoe eq 38.50", vec![1]),
        ("not ext.shoe lt 50", vec![2, 3, 4]),
        ("ext.shoe eq 'big'", vec![2]),
        ("ext.shoe exists", vec![0, 1, 2, 4]),
        ("ext.shoe in (9, 100)", vec![0, 4]),
        ("ext.hat gt 4 and ext.shoe ne 9", vec![1, 2, 3, 4]),
    ];
    let check = async || {
        for (filter, found) in &filters {
            let answer = get(&app, "/api/register/principals", &[("filter", filter)])
                .await
                .expect(200);
            assert_eq!(each(&answer, "id"), ids(found), "{filter}");
        }
    };
    check().await;
    let by_shoe = get(
        &app,
        "/api/register/principals",
        &[("sort", "ext.shoe"), ("limit", "1")],
    )
    .await
    .expect(200);
    assert_eq!(
        each(&by_shoe, "id"),
        ids(&[4]),
        "as text, '100' comes first"
    );

    promoted_now(&app, "shoe", "number").await;
    // What is promoted is remembered for a moment; until then the JSON answers the same.
    tokio::time::sleep(Duration::from_secs(3)).await;
    check().await;
    // The order is another one now: a place of the old one is refused, not misread.
    let stale = [
        ("sort", "ext.shoe"),
        ("after", by_shoe["next"].as_str().expect("more")),
    ];
    get(&app, "/api/register/principals", &stale)
        .await
        .expect(400);
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut parameters = vec![("sort", "-ext.shoe"), ("limit", "1")];
        parameters.extend(after.as_deref().map(|after| ("after", after)));
        let page = get(&app, "/api/register/principals", &parameters)
            .await
            .expect(200);
        found.extend(each(&page, "id"));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ids(&[4, 1, 0, 3, 2]));
}
