//! What a record's schema asks of its fields, in a form that is quick to check.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

/// The pattern of a type name, as the contract writes it.
const TYPE_NAME: &str = "^[A-Za-z][A-Za-z0-9_]{0,49}$";

/// What a field may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// May it be null?
    pub is_nullable: bool,
    /// What else it may be.
    pub form: Form,
}

/// What a field may be if it is not null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text of so many characters.
    Text {
        /// At least.
        min: usize,
        /// At most.
        max: usize,
    },
    /// The name of a type.
    TypeName,
    /// True or false.
    Bool,
    /// An integer of 64 bits.
    Int,
    /// An object with any members.
    Object,
}

/// The rules of an entity's record.
#[derive(Debug, Default)]
pub struct RecordRules {
    /// The rule of each field; none where the schema asks for something that is not known here.
    pub fields: BTreeMap<String, Option<Rule>>,
    /// The fields that a full record must have.
    pub required: Vec<String>,
}

impl Form {
    /// Does a text fit?
    #[inline]
    pub fn allows(self, text: &str) -> bool {
        match self {
            // Characters are counted only where bytes do not already tell.
            Self::Text { min, max } => {
                let fits = |length: usize| min <= length && length <= max;
                (min <= 1 && fits(text.len())) || fits(text.chars().count())
            }
            Self::TypeName => is_type_name(text),
            _ => false,
        }
    }
}

/// Is the text a letter, then up to 49 letters, digits or underscores?
pub fn is_type_name(text: &str) -> bool {
    text.len() <= 50
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl RecordRules {
    /// The rules that a schema stands for; none if it asks for more than a rule for each field can say.
    pub fn derive(schema: &Json) -> Option<Self> {
        let mut schema = schema.as_object()?.clone();
        drop_notes(&mut schema);
        schema.remove("$schema");
        let definitions = match schema.remove("$defs") {
            None => Map::new(),
            Some(definitions) => definitions.as_object()?.clone(),
        };
        let required = match schema.remove("required") {
            None => Vec::new(),
            Some(names) => serde_json::from_value(names).ok()?,
        };
        let is_object = schema.remove("type")? == "object";
        let fields = schema
            .remove("properties")?
            .as_object()?
            .iter()
            .map(|(name, field)| (name.clone(), rule(&definitions, field)))
            .collect();
        (is_object && schema.is_empty()).then_some(Self { fields, required })
    }
}

/// Removes what constrains nothing. Formats are such: ids and dates are held to theirs when they are converted.
fn drop_notes(schema: &mut Map<String, Json>) {
    for note in ["title", "description", "format"] {
        schema.remove(note);
    }
}

/// The rule of a field; none if there is a keyword that is not known here.
fn rule(definitions: &Map<String, Json>, schema: &Json) -> Option<Rule> {
    let mut schema = schema.as_object()?.clone();
    drop_notes(&mut schema);
    if let Some(reference) = schema.remove("$ref") {
        let name = reference.as_str()?.strip_prefix("#/$defs/")?;
        return only(&schema, rule(definitions, definitions.get(name)?)?);
    }
    if let Some(choice) = schema.remove("anyOf") {
        let [one, null] = choice.as_array()?.as_slice() else {
            return None;
        };
        let is_nullable = *null == serde_json::json!({"type": "null"});
        let form = rule(definitions, one)?.form;
        return only(&schema, is_nullable.then_some(Rule { is_nullable, form })?);
    }
    let (word, is_nullable) = match schema.remove("type")? {
        Json::String(word) => (word, false),
        Json::Array(words) => match words.as_slice() {
            [Json::String(word), null] if null == "null" => (word.clone(), true),
            _ => return None,
        },
        _ => return None,
    };
    let form = match word.as_str() {
        "string" => text_form(&mut schema)?,
        "boolean" => Form::Bool,
        "integer" => Form::Int,
        "object" => {
            schema
                .remove("additionalProperties")?
                .as_bool()
                .filter(|any| *any)?;
            Form::Object
        }
        _ => return None,
    };
    only(&schema, Rule { is_nullable, form })
}

/// The rule, if nothing else is asked for.
fn only(rest: &Map<String, Json>, rule: Rule) -> Option<Rule> {
    rest.is_empty().then_some(rule)
}

fn text_form(schema: &mut Map<String, Json>) -> Option<Form> {
    if let Some(pattern) = schema.remove("pattern") {
        return (pattern == TYPE_NAME).then_some(Form::TypeName);
    }
    let mut bound = |keyword: &str, absent: usize| match schema.remove(keyword) {
        None => Some(absent),
        Some(bound) => usize::try_from(bound.as_u64()?).ok(),
    };
    Some(Form::Text {
        min: bound("minLength", 0)?,
        max: bound("maxLength", usize::MAX)?,
    })
}

#[cfg(test)]
mod tests {
    use contract::{Entity, TypeName};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_keyword_of_todays_schemas_is_known() {
        for entity in Entity::ALL {
            let schema = contract::record_schema(entity).to_value();
            let rules = RecordRules::derive(&schema).expect("a plain object");
            let in_doubt: Vec<&String> = rules
                .fields
                .iter()
                .filter(|(_, rule)| rule.is_none())
                .map(|(name, _)| name)
                .collect();
            assert!(in_doubt.is_empty(), "{entity}: {in_doubt:?} would be slow");
        }
    }

    #[test]
    fn an_unknown_keyword_puts_its_field_in_doubt_and_one_of_the_record_all_of_it() {
        let schema = |field: Json| json!({"type": "object", "properties": {"a": field}});
        let of = |field| {
            RecordRules::derive(&schema(field))
                .expect("an object")
                .fields["a"]
        };
        assert_eq!(
            of(json!({"type": ["string", "null"], "maxLength": 5, "description": "x"})),
            Some(Rule {
                is_nullable: true,
                form: Form::Text { min: 0, max: 5 }
            })
        );
        for odd in [
            json!({"type": "string", "enum": ["a"]}),
            json!({"type": "integer", "minimum": 0}),
            json!({"type": "string", "pattern": "^x$"}),
            json!({"type": "string", "pattern": TYPE_NAME, "minLength": 3}),
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": ["string", "integer"]}),
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"$ref": "#/$defs/missing"}),
            json!({"type": "number"}),
            json!(true),
        ] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
        for odd in [
            json!({"minProperties": 1}),
            json!({"additionalProperties": false}),
        ] {
            let mut whole = schema(json!({"type": "string"}));
            let keywords = whole.as_object_mut().expect("an object");
            keywords.extend(odd.as_object().expect("an object").clone());
            assert!(RecordRules::derive(&whole).is_none(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_type_name_is_what_the_contract_says(text in "[A-Za-z0-9_é;\n]{0,3}[a-z_]{0,50}\n?") {
            prop_assert_eq!(is_type_name(&text), text.parse::<TypeName>().is_ok());
        }
    }
}
