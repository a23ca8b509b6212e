//! Faults that let a list pass but bend it.

use serde_json::{Map, Value, json};

use super::board::PageMemory;
use super::{Asked, FaultAction};
use crate::random::Random;
use crate::server::answer::{Answer, Body};

/// How many objects of the page before come again.
const REPEATED_ITEMS: usize = 3;

/// The type of an object that nobody knows.
const UNKNOWN_TYPE: &str = "#microsoft.graph.futurePrincipal";

/// Where links may lead.
pub(crate) struct Places {
    /// The URL that was asked for.
    pub(crate) here: String,
    /// The same on the foreign host.
    pub(crate) abroad: String,
}

/// Bends the answer if it is a list, and tells whether it is another one now.
pub(crate) fn bend(
    answer: &mut Answer,
    action: &FaultAction,
    asked: Asked<'_>,
    places: &Places,
    memory: &mut PageMemory,
) -> bool {
    if let Body::Json(Value::Object(page)) = &mut answer.body
        && page.get("value").is_some_and(Value::is_array)
    {
        let before = page.clone();
        match action {
            FaultAction::EmptyList => {
                page.insert("value".to_owned(), json!([]));
                page.remove("@odata.nextLink");
            }
            FaultAction::RepeatPage => set_next(page, &places.here),
            FaultAction::CyclePages => cycle(page, asked, places, memory),
            FaultAction::RepeatItems => repeat_items(page, asked, memory),
            FaultAction::ForeignLink => {
                let has_end = page.contains_key("@odata.deltaLink");
                let name = if has_end {
                    "@odata.deltaLink"
                } else {
                    "@odata.nextLink"
                };
                page.insert(name.to_owned(), json!(places.abroad));
            }
            FaultAction::UnknownType => add_unknown(page, asked),
            _ => {}
        }
        return before != *page;
    }
    false
}

fn set_next(page: &mut Map<String, Value>, link: &str) {
    page.insert("@odata.nextLink".to_owned(), json!(link));
}

fn cycle(
    page: &mut Map<String, Value>,
    asked: Asked<'_>,
    places: &Places,
    memory: &mut PageMemory,
) {
    let path = asked.path.to_lowercase();
    if asked.is_later_page() {
        let before = memory.links.get(&path).unwrap_or(&places.here);
        set_next(page, before);
    }
    memory.links.insert(path, places.here.clone());
}

fn repeat_items(page: &mut Map<String, Value>, asked: Asked<'_>, memory: &mut PageMemory) {
    let Some(Value::Array(value)) = page.get_mut("value") else {
        return;
    };
    let path = asked.path.to_lowercase();
    let last = value[value.len().saturating_sub(REPEATED_ITEMS)..].to_vec();
    let before = memory.items.insert(path, last);
    if asked.is_later_page() {
        value.splice(..0, before.into_iter().flatten());
    }
}

fn add_unknown(page: &mut Map<String, Value>, asked: Asked<'_>) {
    if page.contains_key("@odata.nextLink") {
        return;
    }
    if let Some(Value::Array(value)) = page.get_mut("value") {
        let id = Random::labelled(0, &asked.path.to_lowercase()).uuid();
        value.push(json!({"@odata.type": UNKNOWN_TYPE, "id": id}));
    }
}
