//! Records that are mostly good and sometimes broken, each in its own way.

use contract::{Scope, SystemId};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use crate::entity::{ColumnKind, EntitySpec};

/// The system of every load here.
pub const SYSTEM: SystemId = 7;

/// A member of a record: its name and its value, both as JSON text.
type Member = (String, String);

#[derive(Debug, Clone)]
enum Change {
    /// Takes a member away.
    Remove(usize),
    /// Gives a member another value.
    Value(usize, String),
    /// Puts a member there once more.
    Repeat(usize),
    /// Writes the name of a member with an escape.
    EscapeName(usize),
    /// Adds members.
    Add(Vec<Member>),
    /// Puts a character somewhere into the text.
    Insert(usize, char),
    /// Cuts the text.
    Cut(usize),
    /// Puts something behind the text.
    Append(&'static str),
}

/// A record of an entity with nothing unusual in any field.
pub fn clean(spec: &EntitySpec) -> String {
    let mut members: Vec<Member> = fields(spec)
        .into_iter()
        .map(|(name, kind)| (name, clean_value(kind).to_owned()))
        .collect();
    members.push(("costCentre".into(), "\"C1\"".into()));
    members.push(("extendedAttributes".into(), r#"{"b":1,"a":[true]}"#.into()));
    written(&members, "")
}

/// Any record of an entity.
pub fn record(spec: &'static EntitySpec) -> impl Strategy<Value = String> {
    let names = fields(spec);
    let count = names.len();
    let own: Vec<_> = names
        .into_iter()
        .map(|(name, kind)| {
            // Most fields are absent now and then; what a record needs seldom is, but for ids that can be derived.
            let column = spec.all_columns().find(|column| column.wire == name);
            let is_needed = column.is_some_and(|column| column.is_required);
            let can_be_derived = name == "id" || column.is_some_and(|c| c.refers_to.is_some());
            let share = match (is_needed, can_be_derived) {
                (_, true) => 0.7,
                (true, false) => 0.98,
                (false, false) => 0.5,
            };
            let member = good_value(kind).prop_map(move |value| (name.clone(), value));
            proptest::option::weighted(share, member)
        })
        .collect();
    let changes = vec(change(count), 0..3);
    let space = select(vec!["", "", "", " ", "\n\t", "\r"]);
    (own, extension(), changes, space).prop_map(|(own, extension, changes, space)| {
        let mut members: Vec<Member> = own.into_iter().flatten().collect();
        members.extend(extension);
        changed(members, &changes, space)
    })
}

/// Scopes of an entity: none, good ones, odd ones.
pub fn scope(spec: &EntitySpec) -> impl Strategy<Value = Scope> + use<> {
    let values = vec![
        "Direct",
        "User",
        "synced",
        "6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10",
        "6F1C3F2E-7A55-4A8E-9A71-0D5F5A1F9B10",
        "no good",
        "",
    ];
    let keys: Vec<String> = spec
        .scope_keys
        .iter()
        .map(|(wire, _)| (*wire).to_owned())
        .collect();
    (any::<bool>(), vec(select(values), keys.len())).prop_map(move |(has_scope, values)| {
        let pairs = keys
            .iter()
            .cloned()
            .zip(values.into_iter().map(str::to_owned));
        pairs.filter(|_| has_scope).collect()
    })
}

/// Columns and their external twins; those are texts.
fn fields(spec: &EntitySpec) -> Vec<(String, ColumnKind)> {
    let columns = spec
        .all_columns()
        .map(|column| (column.wire.to_owned(), column.kind));
    let external = spec
        .all_columns()
        .filter_map(|column| Some((column.external_wire()?, ColumnKind::Text)));
    columns.chain(external).collect()
}

fn clean_value(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Uuid => "\"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10\"",
        ColumnKind::Text => "\"Direct\"",
        ColumnKind::Bool => "true",
        ColumnKind::Time => "\"2025-10-06T09:30:00Z\"",
        ColumnKind::Int => "12",
    }
}

/// A value that mostly fits the kind, and once in a while is of another.
fn good_value(kind: ColumnKind) -> BoxedStrategy<String> {
    let own = match kind {
        ColumnKind::Uuid => ids(),
        ColumnKind::Text => words(),
        ColumnKind::Bool => select(vec!["true", "false"])
            .prop_map(str::to_owned)
            .boxed(),
        ColumnKind::Time => prop_oneof![9 => dates(), 1 => odd_dates()].boxed(),
        ColumnKind::Int => any::<i32>().prop_map(|number| number.to_string()).boxed(),
    };
    prop_oneof![60 => own, 3 => Just("null".to_owned()), 1 => any_value()].boxed()
}

fn any_value() -> BoxedStrategy<String> {
    prop_oneof![
        Just("null".to_owned()),
        ids(),
        odd_ids(),
        words(),
        odd_texts(),
        dates(),
        odd_dates(),
        numbers(),
        nested(),
        select(vec!["true", "false", "nul", "True", "{", "]", "", "NaN"]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn ids() -> BoxedStrategy<String> {
    prop_oneof![
        3 => any::<u128>().prop_map(|id| format!("\"{}\"", uuid::Uuid::from_u128(id))),
        1 => any::<u128>().prop_map(|id| format!("\"{}\"", uuid::Uuid::from_u128(id)).to_uppercase()),
        1 => Just("\"6f1c3f2e-7a55-4a8e-9a71-0d5f5a1f9b10\"".to_owned()),
    ]
    .boxed()
}

fn odd_ids() -> BoxedStrategy<String> {
    (any::<u128>(), 0..6)
        .prop_map(|(id, form)| {
            let id = uuid::Uuid::from_u128(id);
            let text = match form {
                0 => id.braced().to_string(),
                1 => id.simple().to_string(),
                2 => id.urn().to_string(),
                3 => id.to_string().replace('-', "_"),
                4 => format!("{}é", &id.to_string()[2..]),
                _ => id.to_string().replacen(['0', '1', '2'], "g", 1),
            };
            json!(text).to_string()
        })
        .boxed()
}

fn words() -> BoxedStrategy<String> {
    prop_oneof![
        4 => select(vec!["Direct", "User", "Group", "Principal", "Resource", "Identity", "synced", "EntraGroup", "G\\u0072oup"])
            .prop_map(|word| format!("\"{word}\"")),
        2 => "[A-Za-z][A-Za-z0-9_]{0,52}".prop_map(|word| format!("\"{word}\"")),
        1 => texts(),
    ]
    .boxed()
}

/// Texts in every spelling.
fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-zA-Z0-9 .@]{0,20}".prop_map(|text| json!(text).to_string()),
        "[^\0]{0,8}".prop_map(|text| json!(text).to_string()),
        "[^\0]{0,8}".prop_map(|text| {
            let units: Vec<String> = text
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04X}"))
                .collect();
            format!("\"{}\"", units.concat())
        }),
        (
            select(vec![
                50, 51, 100, 101, 400, 401, 1000, 1001, 4000, 4001, 16_000, 16_001
            ]),
            select(vec!["x", "é", "\u{1F600}", "\\u00e9", "\\n"])
        )
            .prop_map(|(length, character)| format!("\"{}\"", character.repeat(length))),
        Just("\"\"".to_owned()),
    ]
    .boxed()
}

fn odd_texts() -> BoxedStrategy<String> {
    select(vec![
        r#""a\u0000""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud83d\ude00""#,
        r#""\/\b\f""#,
        r#""\u12""#,
        r#""\x""#,
        r#"" ""#,
        "\"\u{1}\"",
        "\"a\nb\"",
        "\"\u{7f}\u{2028}\"",
        "\"open",
        "'a'",
    ])
    .prop_map(str::to_owned)
    .boxed()
}

fn dates() -> BoxedStrategy<String> {
    let time = (0..24, 0..60, 0..60, "(\\.[0-9]{1,9})?");
    (1970..2100, 1..13, 1..29, time)
        .prop_map(|(year, month, day, (hour, minute, second, fraction))| {
            format!(
                "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z\""
            )
        })
        .boxed()
}

fn odd_dates() -> BoxedStrategy<String> {
    select(vec![
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-05:00",
        "0000-06-01T00:00:00Z",
        "2025-10-06T09:30:00+02:00",
        "2025-10-06t09:30:00z",
        "2025-10-06 09:30:00Z",
        "2025-10-06T09:30:60Z",
        "2025-02-29T09:30:00Z",
        "2025-10-06T09:30:00.1234567891Z",
        "2025-10-06T09:30:00",
        "2025-10-06",
        "2025-1\\u0030-06T09:30:00Z",
    ])
    .prop_map(|text| format!("\"{text}\""))
    .boxed()
}

fn numbers() -> BoxedStrategy<String> {
    let odd = select(vec![
        "-0",
        "0",
        "1.0",
        "1e2",
        "1E+2",
        "-1.5e-3",
        "0.1",
        "01",
        "+1",
        ".5",
        "1.",
        "-",
        "1e400",
        "1-",
        "123456789012345678",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "9007199254740991.0",
        "9007199254740992.0",
        "9007199254740993",
        "7",
        "8",
        "7.0",
    ]);
    prop_oneof![
        3 => odd.prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| json!(number).to_string()),
        1 => (-1e6..1e6).prop_map(|number: f64| number.to_string()),
    ]
    .boxed()
}

/// Arrays and objects, some of them as deep as is allowed, and deeper.
fn nested() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        numbers(),
        texts(),
        odd_texts(),
        Just("null".to_owned()),
        Just("true".to_owned())
    ];
    let shallow = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            vec((attribute_names(), inner), 0..4).prop_map(|members| written(&members, " ")),
        ]
    });
    prop_oneof![8 => shallow, 1 => deep()].boxed()
}

/// As deep as is allowed, or a little less or more.
fn deep() -> BoxedStrategy<String> {
    (14..18usize, any::<bool>())
        .prop_map(|(depth, is_array)| {
            if is_array {
                format!("{}{}", "[".repeat(depth), "]".repeat(depth))
            } else {
                format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
            }
        })
        .boxed()
}

/// Names that clash now and then, be it by an escape.
fn attribute_names() -> BoxedStrategy<String> {
    prop_oneof![
        12 => "[a-zé]{1,3}",
        4 => select(vec!["a", "ab", "b", "costCentre", "displayName", "id", "straße", "stra\\u00dfe"]).prop_map(str::to_owned),
        1 => select(vec!["\\u0061", "", " ", "\\u2003", "q\\\"x", "q\\u005cx", "\\u0000", "\\n", "extendedAttributes", "systemId"]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn attribute_value() -> BoxedStrategy<String> {
    let clean = select(vec![
        "1",
        "true",
        "\"C1\"",
        "null",
        "[]",
        "{\"b\":1,\"a\":2}",
        "0.5",
        "[1,\"x\"]",
    ]);
    prop_oneof![12 => clean.prop_map(str::to_owned), 4 => texts(), 1 => numbers(), 1 => nested(), 1 => deep()]
        .boxed()
}

/// Unknown fields, `extendedAttributes` and a system.
fn extension() -> BoxedStrategy<Vec<Member>> {
    let attributes = || vec((attribute_names(), attribute_value()), 0..4);
    let own = prop_oneof![
        20 => attributes().prop_map(|members| written(&members, "")),
        1 => any_value(),
    ]
    .prop_map(|value| ("extendedAttributes".to_owned(), value));
    let system = select(vec!["7", "7", "7", "8", "null", "\"7\"", "7.0"])
        .prop_map(|value| ("systemId".to_owned(), value.to_owned()));
    (
        proptest::option::weighted(0.3, vec((attribute_names(), attribute_value()), 1..3)),
        proptest::option::weighted(0.5, own),
        proptest::option::weighted(0.1, system),
    )
        .prop_map(|(unknown, own, system)| {
            unknown
                .into_iter()
                .flatten()
                .chain(own)
                .chain(system)
                .collect()
        })
        .boxed()
}

fn change(fields: usize) -> BoxedStrategy<Change> {
    let place = 0..fields + 3;
    let character = select(vec![
        '"', '\\', ',', '{', ']', ' ', '\u{1}', 'é', '0', '-', ':',
    ]);
    prop_oneof![
        4 => place.clone().prop_map(Change::Remove),
        8 => (place.clone(), any_value()).prop_map(|(place, value)| Change::Value(place, value)),
        1 => place.clone().prop_map(Change::Repeat),
        2 => place.prop_map(Change::EscapeName),
        2 => extension().prop_map(Change::Add),
        1 => (any::<usize>(), character).prop_map(|(at, character)| Change::Insert(at, character)),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => select(vec![" ", "\n", "x", "{}", ",", "\0"]).prop_map(Change::Append),
    ]
    .boxed()
}

fn written(members: &[Member], space: &str) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
        .collect();
    format!("{space}{{{}}}{space}", members.join(","))
}

fn changed(mut members: Vec<Member>, changes: &[Change], space: &str) -> String {
    for change in changes {
        let count = members.len().max(1);
        match change {
            Change::Add(more) => members.extend(more.clone()),
            Change::Remove(place) if !members.is_empty() => {
                members.remove(place % count);
            }
            Change::Repeat(place) if !members.is_empty() => {
                members.push(members[place % count].clone());
            }
            Change::Value(place, value) if !members.is_empty() => {
                members[place % count].1.clone_from(value);
            }
            Change::EscapeName(place) if !members.is_empty() => {
                let name = &mut members[place % count].0;
                if let Some(first) = name.chars().next().filter(char::is_ascii_alphanumeric) {
                    *name = format!("\\u{:04x}{}", u32::from(first), &name[1..]);
                }
            }
            _ => {}
        }
    }
    let mut text = written(&members, space);
    for change in changes {
        let boundary = |at: usize| {
            let mut at = at % (text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        match change {
            Change::Insert(at, character) => text.insert(boundary(*at), *character),
            Change::Cut(at) => text.truncate(boundary(*at)),
            Change::Append(more) => text.push_str(more),
            _ => {}
        }
    }
    text
}
