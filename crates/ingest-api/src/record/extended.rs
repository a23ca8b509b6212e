//! What has no column of its own.

use contract::SyncMode;
use serde_json::Value as Json;

use super::{
    convert::{Object, misfit},
    schema::Misfit,
};

/// Largest `extendedAttributes`, in bytes of JSON.
pub(super) const MAX_EXTENDED_BYTES: usize = 64 * 1024;
/// Deepest nesting of `extendedAttributes`, the object itself counted.
pub(super) const MAX_EXTENDED_DEPTH: usize = 16;

/// Unknown fields join `extendedAttributes`, whose own entries win.
pub fn extended_attributes(mode: SyncMode, mut record: Object) -> Result<Object, Misfit> {
    let own = match record.remove("extendedAttributes") {
        None | Some(Json::Null) => Object::new(),
        Some(Json::Object(own)) => own,
        Some(_) => {
            return Err(misfit(
                "extendedAttributes",
                "type",
                "the value must be an object",
            ));
        }
    };
    record.extend(own);
    if mode == SyncMode::Full {
        record.retain(|_, value| !value.is_null());
    }
    if record.keys().any(|name| name.trim().is_empty()) {
        return Err(misfit(
            "extendedAttributes",
            "empty_name",
            "an attribute has an empty name",
        ));
    }
    if depth(&record) > MAX_EXTENDED_DEPTH {
        return Err(misfit(
            "extendedAttributes",
            "too_deep",
            format!("the extended attributes are nested deeper than {MAX_EXTENDED_DEPTH} levels"),
        ));
    }
    let size = serde_json::to_vec(&record).map_or(usize::MAX, |text| text.len());
    if size > MAX_EXTENDED_BYTES {
        return Err(misfit(
            "extendedAttributes",
            "too_large",
            format!(
                "the extended attributes have {size} bytes; at most {MAX_EXTENDED_BYTES} are kept"
            ),
        ));
    }
    Ok(record)
}

/// How many levels an object has; a flat one has one.
fn depth(object: &Object) -> usize {
    fn below(value: &Json) -> usize {
        match value {
            Json::Object(object) => depth(object),
            Json::Array(items) => 1 + items.iter().map(below).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + object.values().map(below).max().unwrap_or(0)
}
