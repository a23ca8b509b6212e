//! Taking an object of Graph apart, field by field.

use chrono::{DateTime, Datelike, Utc};
use contract::{
    TypeName,
    records::{ExtendedAttributes, principal_type},
};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The register takes 64 KiB of extended attributes per record; some room is left for how it counts.
const MAX_EXTENDED_BYTES: usize = 60 * 1024;
/// The register takes 16 levels.
const MAX_DEPTH: usize = 14;

/// An object of Graph from which fields are taken; what nobody takes is the rest.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    fields: Map<String, Value>,
}

impl Object {
    /// `None` when the value is no object or has no usable id.
    pub fn read(value: Value) -> Option<(Uuid, Self)> {
        let mut object = Self::without_id(value)?;
        let id = object.guid("id")?;
        Some((id, object))
    }

    /// An object whose id is no GUID (role assignments).
    pub fn without_id(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { fields }),
            _ => None,
        }
    }

    /// Did Graph send this field, be it null? A field that was asked for and is absent means that the object may not be
    /// read in full, not that the field is empty.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// A text that is not blank.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.fields.get_mut(key)? {
            Value::String(text) => {
                let text = std::mem::take(text);
                self.fields.remove(key);
                (!text.trim().is_empty()).then_some(text)
            }
            // Something else than was promised stays in the rest.
            _ => None,
        }
    }

    /// A text without taking it.
    pub fn peek(&self, key: &str) -> Option<&str> {
        self.fields.get(key)?.as_str()
    }

    /// True or false; absent for null.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let flag = self.fields.get(key)?.as_bool()?;
        self.fields.remove(key);
        Some(flag)
    }

    /// True or false without taking it.
    pub fn flag_is(&self, key: &str) -> Option<bool> {
        self.fields.get(key)?.as_bool()
    }

    /// A GUID, in whatever case.
    pub fn guid(&mut self, key: &str) -> Option<Uuid> {
        let guid = Uuid::parse_str(self.peek(key)?).ok()?;
        self.fields.remove(key);
        Some(guid)
    }

    /// A moment; the sentinels for "never" read as absent.
    pub fn date(&mut self, key: &str) -> Option<DateTime<Utc>> {
        let text = self.text(key)?;
        parse_date(&text)
    }

    /// A nested object.
    pub fn nested(&mut self, key: &str) -> Option<Self> {
        match self.fields.get(key)? {
            Value::Object(_) => Self::without_id(self.fields.remove(key)?),
            _ => None,
        }
    }

    /// Whatever is there.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.remove(key)
    }

    /// Texts of a list, without taking it.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.fields.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    /// All fields that nobody took yet.
    pub fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }

    /// Changes a list where it stands.
    pub fn edit_list(&mut self, key: &str, edit: impl FnOnce(&mut Vec<Value>)) {
        if let Some(Value::Array(items)) = self.fields.get_mut(key) {
            edit(items);
        }
    }

    /// Adds something that we derived.
    pub fn add(&mut self, key: &str, value: impl Into<Value>) {
        self.fields.insert(key.to_owned(), value.into());
    }

    /// Throws a field away.
    pub fn discard(&mut self, key: &str) {
        self.fields.remove(key);
    }

    /// The kind in `@odata.type`, such as `servicePrincipal`.
    pub fn odata_kind(&self) -> Option<&str> {
        let kind = self.peek("@odata.type")?;
        Some(
            kind.trim_start_matches('#')
                .trim_start_matches("microsoft.graph."),
        )
    }

    /// What kind of principal this is, as far as its `@odata.type` tells: user, service principal, group, or Graph's own
    /// word for anything else.
    pub fn principal_kind(&self) -> Option<TypeName> {
        match self.odata_kind()? {
            "user" | "agentUser" => Some(principal_type::USER),
            "group" => Some(principal_type::GROUP),
            "servicePrincipal" | "agentIdentityBlueprintPrincipal" => {
                Some(principal_type::SERVICE_PRINCIPAL)
            }
            "agentIdentity" => Some(principal_type::AI_AGENT),
            other => {
                let mut letters = other.chars();
                let first = letters.next()?.to_ascii_uppercase();
                format!("{first}{}", letters.as_str()).parse().ok()
            }
        }
    }

    /// Everything that nobody took.
    pub fn rest(self) -> Option<ExtendedAttributes> {
        let Value::Object(mut rest) = clean(Value::Object(self.fields), 0)? else {
            return None;
        };
        shrink(&mut rest);
        Some(rest)
    }
}

/// Reads a date with 0 to 9 fractional digits. Years 1 and 9999 are how Graph says "not set" and "never".
pub(super) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc3339(text.trim()).ok()?.to_utc();
    (2..9999).contains(&date.year()).then_some(date)
}

/// Drops nulls, empty lists, annotations and what is nested too deep; sorts lists of texts, whose order Graph changes
/// from one reading to the next.
fn clean(value: Value, depth: usize) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(_) | Value::Array(_) if depth >= MAX_DEPTH => None,
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .into_iter()
                .filter(|(key, _)| !key.contains("@odata."))
                .filter_map(|(key, value)| Some((key, clean(value, depth + 1)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let mut kept: Vec<Value> = items
                .into_iter()
                .filter_map(|item| clean(item, depth + 1))
                .collect();
            if kept.iter().all(Value::is_string) {
                kept.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other),
    }
}

/// Drops the largest attributes until the rest fits, and says which.
fn shrink(rest: &mut ExtendedAttributes) {
    let mut dropped = Vec::new();
    let mut sizes: Vec<(usize, String)> = rest
        .iter()
        .map(|(key, value)| (key.len() + weight(value), key.clone()))
        .collect();
    let mut total: usize = sizes.iter().map(|(size, _)| size).sum();
    sizes.sort();
    while total > MAX_EXTENDED_BYTES
        && let Some((size, key)) = sizes.pop()
    {
        rest.remove(&key);
        total -= size;
        dropped.push(Value::String(key.chars().take(200).collect()));
    }
    if !dropped.is_empty() {
        rest.insert("attributesTooLarge".to_owned(), Value::Array(dropped));
    }
}

/// Roughly the length of the JSON text, never less: an escaped character takes up to six bytes.
fn weight(value: &Value) -> usize {
    let text_weight = |text: &str| {
        let escapes = text.bytes().filter(|b| *b < 0x20).count() * 5;
        let quotes = text.bytes().filter(|b| matches!(b, b'"' | b'\\')).count();
        text.len() + escapes + quotes + 4
    };
    match value {
        Value::String(text) => text_weight(text),
        Value::Array(items) => 2 + items.iter().map(|item| weight(item) + 2).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| text_weight(key) + weight(value) + 4;
            2 + fields.iter().map(field).sum::<usize>()
        }
        _ => 26,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sentinel_dates_read_as_absent_and_fractions_are_kept() {
        assert_eq!(parse_date("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_date("9999-12-31T23:59:59.9999999Z"), None);
        assert_eq!(parse_date("no date"), None);
        assert_eq!(parse_date(""), None);
        let date = parse_date("2026-02-03T07:12:44.1031234Z").expect("a date");
        assert_eq!(date.timestamp_subsec_nanos(), 103_123_400);
    }

    #[test]
    fn an_object_without_a_usable_id_is_none() {
        for value in [
            json!(null),
            json!([]),
            json!({}),
            json!({"id": 5}),
            json!({"id": "x"}),
        ] {
            assert!(Object::read(value.clone()).is_none(), "{value}");
        }
        let (id, _) =
            Object::read(json!({"id": "1B9F2C74-6A0D-4F3E-8C15-90D2A7E4B611"})).expect("id");
        assert_eq!(id.to_string(), "1b9f2c74-6a0d-4f3e-8c15-90d2a7e4b611");
    }

    #[test]
    fn a_field_of_another_type_than_promised_is_kept_in_the_rest() {
        let mut object =
            Object::without_id(json!({"displayName": 5, "mail": " "})).expect("object");
        assert_eq!(object.text("displayName"), None);
        assert_eq!(object.text("mail"), None);
        assert_eq!(
            object.rest(),
            Some(
                json!({"displayName": 5})
                    .as_object()
                    .expect("object")
                    .clone()
            )
        );
    }

    #[test]
    fn the_rest_holds_no_nulls_no_annotations_and_no_chance_order() {
        let object = Object::without_id(json!({
            "@odata.type": "#microsoft.graph.user", "a": null, "b": [], "c": {"d": null},
            "tags": ["z", "a"], "Projects@odata.type": "#Collection(String)", "e": {"f": 1, "g": null}
        }));
        let rest = object.expect("object").rest().expect("rest");
        assert_eq!(
            Value::Object(rest),
            json!({"tags": ["a", "z"], "e": {"f": 1}})
        );
    }

    #[test]
    fn attributes_that_are_too_large_are_dropped_and_named() {
        let object = Object::without_id(json!({"small": "x", "huge": "\u{1}".repeat(20_000)}));
        let rest = object.expect("object").rest().expect("rest");
        assert_eq!(
            Value::Object(rest),
            json!({"small": "x", "attributesTooLarge": ["huge"]})
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_dropped() {
        let mut deep = json!("bottom");
        for _ in 0..40 {
            deep = json!({ "a": deep });
        }
        let object = Object::without_id(json!({"deep": deep, "flat": 1}));
        assert_eq!(
            object.expect("object").rest().map(Value::Object),
            Some(json!({"flat": 1}))
        );
    }

    #[test]
    fn an_unknown_kind_of_principal_keeps_graphs_word() {
        let kind = |odata_type: &str| {
            let object = Object::without_id(json!({ "@odata.type": odata_type })).expect("object");
            object.principal_kind().map(|name| name.to_string())
        };
        assert_eq!(kind("#microsoft.graph.user").as_deref(), Some("User"));
        assert_eq!(kind("#microsoft.graph.group").as_deref(), Some("Group"));
        assert_eq!(kind("#microsoft.graph.device").as_deref(), Some("Device"));
        assert_eq!(
            kind("#microsoft.graph.brandNew").as_deref(),
            Some("BrandNew")
        );
        assert_eq!(kind("#microsoft.graph.bad-name"), None);
        assert_eq!(kind("#microsoft.graph."), None);
    }
}
