//! The past: every version and who made it, differences between two moments, tables as of a moment, and its end.

mod expected;
mod model;
mod months;
mod random_loads;
mod told;
mod upgrade;

use serde_json::Value;

use crate::app::TestApp;

/// Follows `next` to the last page; the path has a query already.
pub async fn all_pages(app: &TestApp, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut page = app.get(path).await.expect(200);
    loop {
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        assert!(items.len() <= 10_000, "pages never end");
        let Some(after) = page["next"].as_str() else {
            return items;
        };
        page = app.get(&format!("{path}&after={after}")).await.expect(200);
    }
}

/// A moment as a parameter of a query.
pub fn shown(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
