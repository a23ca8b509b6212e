//! The language: any text is parsed or refused at a place within it, and what is printed parses to the same.

use chrono::DateTime;
use contract::{Entity, ValueType};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    Cursor, Direction, Format, MAX_FILTER_CHARS, Names, Order, Page, Scope, Source,
    bind::Bind,
    bind::Binds,
    compile,
    filter::{Comparison, Filter, Literal, Name, Operand, Place, Test, Value},
    lexer, views,
};
use crate::{attributes::Promoted, entity};

fn names(entity: Entity) -> Names {
    Names::new(
        Source::of(entity::spec(entity).expect("a specification")),
        Vec::new(),
    )
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        select(vec![
            "",
            "'",
            "''",
            "\"",
            "; drop table principals; --",
            "$1",
            "%s",
            "\u{1f600}",
            "é\u{202e}x",
            "a\nb\\"
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        "-?[0-9]{1,20}(\\.[0-9]{1,10})?(e-?[0-9]{1,2})?".prop_map(Value::Number),
        text().prop_map(Value::Text),
        (-62_135_596_800_000_000_i64..=253_402_300_799_999_999).prop_map(|micros| Value::Time(
            DateTime::from_timestamp_micros(micros).expect("in range")
        )),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    value().prop_map(|value| Literal {
        value,
        place: Place(0),
    })
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        (select(Comparison::ALL.to_vec()), literal())
            .prop_map(|(comparison, literal)| Test::Compare(comparison, literal)),
        vec(literal(), 1..5).prop_map(Test::In),
        text().prop_map(Test::StartsWith),
        text().prop_map(Test::Contains),
        Just(Test::Exists),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        "[A-Za-z_][A-Za-z0-9_]{0,8}"
            .prop_filter("a word of the language", |word| !["not", "lower"]
                .contains(&word.as_str()))
            .prop_map(Name::Core),
        text()
            .prop_filter("empty", |text| !text.is_empty())
            .prop_map(Name::Attribute),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let one = (name(), any::<bool>(), test()).prop_map(|(name, is_lowered, test)| {
        Filter::Test(
            Operand {
                name,
                is_lowered,
                place: Place(0),
            },
            test,
        )
    });
    one.prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Filter::And),
            vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

/// Pieces of the language in any order.
fn scraps() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "(",
            ")",
            ",",
            "and",
            "or",
            "not",
            "eq",
            "in",
            "exists",
            "lower",
            "ext",
            ".",
            "'",
            "\"",
            "null",
            "true",
            "1",
            "-",
            "2026-02-30",
            "2026-02-28T10:00:00Z",
            "displayName",
            "startsWith",
            "'x'",
            "é",
            "\0",
            "1e",
            "--",
            "$1",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(filter in filter()) {
        let text = filter.to_string();
        match text.parse::<Filter>() {
            Ok(parsed) => prop_assert_eq!(parsed, filter),
            Err(error) => prop_assert!(text.chars().count() > MAX_FILTER_CHARS, "{}: {}", text, error),
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_at_a_place_within_it(text in prop_oneof![scraps(), any::<String>()]) {
        if let Err(error) = text.parse::<Filter>() {
            prop_assert!(error.position <= text.chars().count(), "{}", error);
            prop_assert!(!error.detail.is_empty());
        }
    }

    #[test]
    fn a_filter_becomes_sql_with_every_value_bound_or_is_refused_within_it(filter in filter()) {
        let text = filter.to_string();
        let Ok(filter) = text.parse::<Filter>() else { return Ok(()) };
        let mut binds = Binds::default();
        match compile::condition(&filter, &names(Entity::Principals), &mut binds) {
            // Nothing of the text is in the statement but names of columns.
            Ok(sql) => prop_assert!(!sql.contains("drop table") && !sql.contains('\0') && sql.is_ascii(), "{}", sql),
            Err(error) => prop_assert!(error.position <= text.chars().count(), "{}", error),
        }
    }

    #[test]
    fn a_cursor_reads_back_and_a_changed_or_foreign_one_is_refused(
        text in proptest::option::of(text()), time in any::<i32>(), system_id in any::<i32>(), at in any::<prop::sample::Index>(),
    ) {
        let names = names(Entity::ResourceAssignments);
        let order = Order::parse(Some("state,-startDateTime"), &names).expect("an order");
        let time = DateTime::from_timestamp(i64::from(time), 0).expect("in range");
        let cursor = Cursor {
            values: vec![text.clone().map(Bind::Text), Some(Bind::Time(time))],
            key: vec![
                Bind::Uuid(uuid::Uuid::from_u128(1)), Bind::Uuid(uuid::Uuid::from_u128(2)),
                Bind::Text("Direct".into()), Bind::Text(text.unwrap_or_default()),
            ],
            system_id,
        };
        let word = cursor.word(&order, &names);
        prop_assert_eq!(Cursor::read(&word, &order, &names), Some(cursor));
        let other = Order::parse(Some("state,startDateTime"), &names).expect("an order");
        prop_assert_eq!(Cursor::read(&word, &other, &names), None);
        let mut changed = word.into_bytes();
        let place = at.index(changed.len());
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        prop_assert_eq!(Cursor::read(&changed, &order, &names), None);
    }
}

#[test]
fn an_error_names_the_place_and_what_was_expected() {
    for (text, position, expected) in [
        ("", 0, "the name of a field"),
        ("displayName", 11, "eq, ne"),
        ("displayName eq", 14, "a value"),
        (
            "displayName eq 'x",
            17,
            "which ends what begins at character 15",
        ),
        ("é eq 1", 0, "begins nothing here"),
        ("displayName eq 'é' und x", 19, "and, or, or the end"),
        ("(displayName exists", 19, "')'"),
        ("displayName in ()", 16, "a value"),
        ("createdDateTime lt 2026-02-30", 19, "neither a number"),
        ("ext.a.b eq 1", 5, "eq, ne"),
        ("displayName eq 'a\0b'", 17, "NUL"),
        ("displayName eq display", 15, "a value"),
        (
            "accountEnabled eq 'true'",
            18,
            "expected true or false, found a text",
        ),
        (
            "displayName eq true",
            15,
            "expected a text in single quotes, found a boolean",
        ),
        ("managerId eq 'x'", 13, "an id such as"),
        ("accountEnabled lt true", 18, "by eq, ne and in only"),
        ("createdDateTime ge '2026-01-01'", 19, "a date"),
        (
            "displayName lt null",
            15,
            "null is compared by eq, ne and in only",
        ),
        ("displayName in ('a', null)", 21, "found null"),
        ("ext.x in ('a', 1)", 15, "found a number"),
        ("lower(accountEnabled) exists", 6, "lower() is for texts"),
        ("accountEnabled contains 'x'", 0, "contains is for texts"),
        (
            "extendedAttributes eq 'x'",
            0,
            "an object cannot be compared",
        ),
        (
            "not nothing exists",
            4,
            "expected one of systemId, id, externalId",
        ),
    ] {
        let outcome = text.parse::<Filter>().and_then(|filter| {
            compile::condition(&filter, &names(Entity::Principals), &mut Binds::default())
        });
        let error = outcome.expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.detail.contains(expected), "{text}: {error}");
    }
}

#[test]
fn length_depth_terms_and_values_are_bounded() {
    let deep = |depth: usize| format!("{}id exists{}", "(".repeat(depth), ")".repeat(depth));
    assert!(deep(32).parse::<Filter>().is_ok());
    assert_eq!(
        deep(33).parse::<Filter>().expect_err("too deep").position,
        32
    );
    assert!(
        format!("{}id exists", "not ".repeat(33))
            .parse::<Filter>()
            .is_err()
    );
    let terms = |terms: usize| vec!["id exists"; terms].join(" or ");
    assert!(terms(100).parse::<Filter>().is_ok());
    assert!(terms(101).parse::<Filter>().is_err());
    let values = |values: usize| format!("id in ({})", vec!["1"; values].join(","));
    assert!(values(500).parse::<Filter>().is_ok());
    assert!(values(501).parse::<Filter>().is_err());
    let long = format!("displayName eq '{}'", "é".repeat(1_000_000));
    assert_eq!(
        long.parse::<Filter>().expect_err("too long").position,
        MAX_FILTER_CHARS
    );
}

#[test]
fn numbers_are_those_that_postgresql_takes() {
    for good in ["0", "-1", "1.50", "1e300", "1E-300", "007"] {
        assert!(lexer::is_number(good), "{good}");
    }
    for bad in [
        "", "-", "1.", ".5", "1e", "1e301", "0x1f", "1_000", "NaN", "--1", "1e1.5", "١",
    ] {
        assert!(!lexer::is_number(bad), "{bad}");
    }
    assert!(!lexer::is_number(&"9".repeat(65)));
}

#[test]
fn every_specified_table_is_a_source_whose_key_is_among_its_fields() {
    for spec in entity::ALL {
        let source = Source::of(spec);
        for (sql, kind) in &source.key {
            let field = source.fields.iter().find(|field| field.sql == *sql);
            assert!(
                field.is_some_and(|field| field.kind == *kind && !field.is_nullable),
                "{sql}"
            );
        }
    }
}

fn sql(names: &Names, sort: Option<&str>, filter: Option<&str>, as_of: bool) -> String {
    let filter: Option<Filter> = filter.map(|text| text.parse().expect(text));
    let scope = Scope {
        systems: vec![1],
        includes_removed: false,
        as_of: as_of.then(|| DateTime::from_timestamp(0, 0).expect("the epoch")),
    };
    let order = Order::parse(sort, names).expect("an order");
    let selected = names.select(None).expect("all");
    let page = Page {
        names,
        scope: &scope,
        filter: filter.as_ref(),
        order: &order,
        selected: &selected,
        format: Format::Json,
        direction: Direction::After(None),
        limit: 10,
    };
    page.sql().expect("SQL").0
}

#[test]
fn a_promoted_attribute_is_read_from_its_column_where_the_types_fit_and_from_the_json_elsewhere() {
    let source = Source::of(entity::spec(Entity::Principals).expect("a specification"));
    let promoted = Promoted {
        attribute: "shoe".into(),
        column: "c_\"1".into(),
        value_type: ValueType::Number,
    };
    let names = Names::new(source, vec![promoted]);
    let with = |filter| sql(&names, None, Some(filter), false);
    assert!(with("ext.shoe gt 40").contains("t.\"c_\"\"1\" > "));
    assert!(with("ext.shoe eq '40'").contains("attribute_text(t.extended_attributes, "));
    assert!(with("ext.hat gt 40").contains("attribute_number(t.extended_attributes, "));
    assert!(sql(&names, Some("-ext.shoe"), None, false).contains("order by o0 desc nulls last"));
}

#[test]
fn rows_as_of_an_instant_come_from_the_tables_function_and_views_from_themselves() {
    let names = names(Entity::Principals);
    let past = sql(&names, None, None, true);
    assert!(
        past.contains("from principals_as_of($2) t") && !past.contains("deleted_at is null"),
        "{past}"
    );
    assert!(sql(&names, None, None, false).contains("t.deleted_at is null"));
    let view = Names::new(&views()[0], Vec::new());
    assert!(sql(&view, Some("-kind"), None, false).contains("from orphan_references) t"));
    assert!(Order::parse(Some("ext.a"), &view).is_err());
}
