//! Random rows and random questions about them.

use chrono::DateTime;
use ingest_api::query::{
    Comparison, Filter, Kind, Literal, Name, Operand, Place, Source, Test, Value as Asked,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

/// Texts that meet often, differ by case only, or look like SQL or other types.
const TEXTS: [&str; 16] = [
    "Ada",
    "ada",
    "ADA",
    "Ärger",
    "ärger",
    "Bo",
    "bob",
    "",
    " ",
    "%",
    "'; drop table principals; --",
    "$1",
    "12",
    "true",
    "2026-02-28",
    "\u{1f600}é",
];
/// What extended attributes hold.
const ATTRIBUTES: [&str; 3] = ["site", "a.b", "x\"; drop"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(TEXTS.to_vec()).prop_map(str::to_owned),
        1 => "[a-cA-C]{1,3}",
        1 => select(vec!["x", "X", "y"]).prop_map(|end| "long".repeat(60) + end),
    ]
}

fn time() -> impl Strategy<Value = String> {
    select(vec![
        "2026-02-28T00:00:00Z",
        "2026-02-28T00:00:00.000001Z",
        "2026-03-01T00:30:00+01:00",
        "1969-12-31T23:59:59.5Z",
        "2025-12-31T23:59:59.999999Z",
        "2024-02-29T12:00:00Z",
    ])
    .prop_map(str::to_owned)
}

/// The value of an attribute: of any type, well formed or nearly so.
fn attribute() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        time().prop_map(Value::String),
        (-3..15_i64).prop_map(|number| json!(number)),
        select(vec![json!(1.5), json!(-0.25), json!(true), json!(false)]),
        select(vec![
            "1.5",
            "1e1",
            "-3",
            "12 ",
            "0x1F",
            "NaN",
            "infinity",
            "1.",
            ".5",
            "--1",
            "1e400",
            "1e99",
            "+7",
            "-1E-2",
            "+-3",
            "1e+",
            "1234567890123456789012345678901",
            "0.1234567890123456789012345678901",
            "2026-02-30",
            "2025-02-29",
            "2024-02-29",
            "2026-13-01",
            "now",
            "tomorrow",
            "2026-02-28T25:00:00Z",
            "2026-02-28T10:00:00Z",
            "TRUE",
            "yes",
        ])
        .prop_map(|text| json!(text)),
    ]
}

fn id() -> impl Strategy<Value = Value> {
    (1..6_u32).prop_map(|n| json!(crate::app::id(n)))
}

/// A record of a principal without its id.
fn principal() -> impl Strategy<Value = Value> {
    let attributes = proptest::sample::subsequence(ATTRIBUTES.to_vec(), 0..=ATTRIBUTES.len())
        .prop_flat_map(|names| {
            let values = vec(attribute(), names.len());
            (Just(names), values)
        })
        .prop_map(|(names, values)| -> Value {
            let names = names.into_iter().map(str::to_owned);
            Value::Object(names.zip(values).collect())
        });
    (
        text().prop_map(|text| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        }),
        option::of(text()),
        option::of(text()),
        option::of(any::<bool>()),
        option::of(id()),
        option::of(time()),
        attributes,
    )
        .prop_map(
            |(name, department, title, enabled, manager, created, attributes)| {
                let mut record = json!({"displayName": name, "extendedAttributes": attributes});
                let fields = [
                    ("department", department.map(Value::from)),
                    ("jobTitle", title.map(Value::from)),
                    ("accountEnabled", enabled.map(Value::from)),
                    ("managerId", manager),
                    ("createdDateTime", created.map(Value::from)),
                ];
                for (name, value) in fields {
                    if let Some(value) = value {
                        record[name] = value;
                    }
                }
                record
            },
        )
}

/// Records of principals, the ones of a first system and those of a second.
pub fn principals() -> impl Strategy<Value = [Vec<Value>; 2]> {
    [vec(principal(), 0..25), vec(principal(), 0..8)]
}

fn compared(kind: Kind) -> BoxedStrategy<Asked> {
    match kind {
        Kind::Text => text().prop_map(Asked::Text).boxed(),
        Kind::Uuid => id()
            .prop_map(|id| Asked::Text(id.as_str().expect("an id").to_owned()))
            .boxed(),
        Kind::Bool => any::<bool>().prop_map(Asked::Bool).boxed(),
        Kind::Time => time()
            .prop_map(|text| {
                Asked::Time(
                    DateTime::parse_from_rfc3339(&text)
                        .expect("a time")
                        .to_utc(),
                )
            })
            .boxed(),
        Kind::Int | Kind::Number | Kind::Json => {
            select(vec!["0", "1", "12", "1.5", "-0.25", "1e1", "-3.0"])
                .prop_map(|text| Asked::Number(text.into()))
                .boxed()
        }
    }
}

fn literal(kind: Kind) -> BoxedStrategy<Literal> {
    compared(kind)
        .prop_map(|value| Literal {
            value,
            place: Place(0),
        })
        .boxed()
}

/// A test that fits a type.
fn test(kind: Kind) -> BoxedStrategy<Test> {
    let comparisons = match kind {
        Kind::Bool | Kind::Uuid => vec![Comparison::Eq, Comparison::Ne],
        _ => Comparison::ALL.to_vec(),
    };
    let compare = (select(comparisons), literal(kind))
        .prop_map(|(comparison, literal)| Test::Compare(comparison, literal));
    let null = select(vec![Comparison::Eq, Comparison::Ne]).prop_map(|comparison| {
        Test::Compare(
            comparison,
            Literal {
                value: Asked::Null,
                place: Place(0),
            },
        )
    });
    let among = vec(literal(kind), 1..4).prop_map(Test::In);
    let plain = prop_oneof![5 => compare, 1 => null, 2 => among, 1 => Just(Test::Exists)];
    if kind == Kind::Text {
        prop_oneof![3 => plain, 1 => text().prop_map(Test::StartsWith), 1 => text().prop_map(Test::Contains)].boxed()
    } else {
        plain.boxed()
    }
}

/// A test of one of these fields, or of an attribute.
fn one(fields: Vec<(&'static str, Kind)>) -> impl Strategy<Value = Filter> {
    let core = select(fields).prop_map(|(name, kind)| (Name::Core(name.to_owned()), kind));
    let kinds = select(vec![Kind::Text, Kind::Number, Kind::Bool, Kind::Time]);
    let attribute = (select(ATTRIBUTES.to_vec()), kinds)
        .prop_map(|(name, kind)| (Name::Attribute(name.to_owned()), kind));
    prop_oneof![3 => core, 2 => attribute].prop_flat_map(|(name, kind)| {
        (test(kind), any::<bool>()).prop_map(move |(test, is_lowered)| {
            let is_text = kind == Kind::Text
                && !matches!(
                    &test,
                    Test::Compare(
                        _,
                        Literal {
                            value: Asked::Null,
                            ..
                        }
                    ) | Test::Exists
                );
            let operand = Operand {
                name: name.clone(),
                is_lowered: is_lowered && is_text,
                place: Place(0),
            };
            Filter::Test(operand, test)
        })
    })
}

/// A filter over some fields.
pub fn filter(
    source: &'static Source,
    fields: &'static [&'static str],
) -> impl Strategy<Value = Filter> {
    let fields = fields
        .iter()
        .map(|name| (*name, source.field(name).expect("a field").kind))
        .collect();
    one(fields).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::And),
            vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

/// Sort keys: names, each perhaps with the greatest first.
pub fn sort(fields: &'static [&'static str]) -> impl Strategy<Value = Vec<(Name, bool)>> {
    let core = fields.iter().map(|name| Name::Core((*name).to_owned()));
    let attributes = ATTRIBUTES
        .iter()
        .map(|name| Name::Attribute((*name).to_owned()));
    let names: Vec<Name> = core.chain(attributes).collect();
    (
        proptest::sample::subsequence(names, 0..=3).prop_shuffle(),
        vec(any::<bool>(), 3),
    )
        .prop_map(|(names, directions)| names.into_iter().zip(directions).collect())
}
