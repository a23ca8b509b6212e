//! The fast path against the careful one.

mod generate;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use chrono::{TimeZone, Utc};
use contract::{
    Entity, Scope, SyncMode,
    records::{
        Principal, Resource, ResourceAssignment, assignment_type, principal_type, resource_type,
    },
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;
use uuid::Uuid;

use super::{Doubt, FastPath};
use crate::{
    attributes::{JsonTypes, Seen},
    entity,
    record::{Decoder, Field, IdRule, LoadContext, Rows, RowsBuilder, Schemas},
};

static SCHEMAS: LazyLock<Arc<Schemas>> = LazyLock::new(|| Arc::new(Schemas::compile()));

/// What a load says.
#[derive(Debug, Clone)]
struct Load {
    entity: Entity,
    mode: SyncMode,
    scope: Scope,
    ids: IdRule,
}

impl Load {
    fn plain(entity: Entity, mode: SyncMode) -> Self {
        Self {
            entity,
            mode,
            scope: Scope::new(),
            ids: IdRule::Native {
                system_id: generate::SYSTEM,
            },
        }
    }

    fn context(self) -> LoadContext {
        LoadContext {
            spec: entity::spec(self.entity).expect("a merged entity"),
            schemas: Arc::clone(&SCHEMAS),
            system_id: generate::SYSTEM,
            mode: self.mode,
            scope: self.scope,
            ids: self.ids,
        }
    }
}

/// What the fast path makes of one record.
fn quickly(fast: &mut FastPath, context: &LoadContext, text: &str) -> Result<Rows, Doubt> {
    let mut rows = RowsBuilder::new(context.spec);
    let answer = fast.push(0, text, &mut rows);
    let (rows, _) = rows.finish();
    assert_eq!(
        rows.len(),
        usize::from(answer.is_ok()),
        "a row if there is no doubt"
    );
    answer.map(|()| rows)
}

/// Everything that a row is.
fn parts(rows: &Rows) -> (usize, Vec<Field<'_>>, [&[u8]; 4]) {
    let row = rows.get(0);
    let bytes = [row.key(), row.extended(), row.hash(), row.copy_fields()];
    (row.index(), row.fields().collect(), bytes)
}

/// Where the fast path answers, the careful path takes the record and makes the same of it.
fn agree(fast: &mut FastPath, context: &LoadContext, text: &str) -> Result<bool, TestCaseError> {
    let before = fast.take_seen();
    prop_assert_eq!(before.iter().count(), 0, "what was read was taken");
    let answer = quickly(fast, context, text);
    let seen = fast.take_seen();
    let Ok(rows) = answer else {
        prop_assert_eq!(seen.iter().count(), 0, "{}", text);
        return Ok(false);
    };
    let mut careful = Decoder::careful_only(context.clone());
    careful.record(text);
    let careful = careful.finish();
    prop_assert!(
        careful.refusals.is_empty(),
        "{text} is refused: {:?}",
        careful.refusals[0].error
    );
    prop_assert_eq!(careful.replaced, 0, "{}", text);
    prop_assert_eq!(parts(&rows), parts(&careful.batch.rows), "{}", text);
    let sorted = |seen: &Seen| -> BTreeMap<String, JsonTypes> {
        seen.iter()
            .map(|(name, types)| (name.to_owned(), types))
            .collect()
    };
    prop_assert_eq!(sorted(&seen), sorted(&careful.attributes), "{}", text);
    Ok(true)
}

fn cases() -> impl Strategy<Value = (Load, Vec<String>)> {
    (
        proptest::sample::select(entity::ALL.to_vec()),
        prop_oneof![Just(SyncMode::Full), Just(SyncMode::Delta)],
        prop_oneof![
            2 => Just(IdRule::Native { system_id: generate::SYSTEM }),
            1 => Just(IdRule::Deterministic { prefix: "hr-principals".into() }),
        ],
    )
        .prop_flat_map(|(spec, mode, ids)| {
            let records = proptest::collection::vec(generate::record(spec), 1..4);
            (generate::scope(spec), records).prop_map(move |(scope, records)| {
                let load = Load {
                    entity: spec.entity,
                    mode,
                    scope,
                    ids: ids.clone(),
                };
                (load, records)
            })
        })
}

proptest! {
    #![proptest_config(Config::with_cases(Config::default().cases * 4))]
    #[test]
    fn where_the_fast_path_answers_the_careful_path_gives_the_same_row((load, records) in cases()) {
        let context = load.context();
        if let Some(mut fast) = FastPath::new(&context) {
            for text in &records {
                agree(&mut fast, &context, text)?;
            }
        }
    }
}

#[test]
fn a_good_part_of_the_generated_records_is_answered_and_a_good_part_is_not() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut answered, mut doubted) = (0, 0);
    for _ in 0..500 {
        let (load, records) = cases().new_tree(&mut runner).expect("a case").current();
        let context = load.context();
        let mut fast = FastPath::new(&context);
        for text in &records {
            let is_answered = fast
                .as_mut()
                .is_some_and(|fast| quickly(fast, &context, text).is_ok());
            *(if is_answered {
                &mut answered
            } else {
                &mut doubted
            }) += 1;
        }
    }
    assert!(
        answered * 4 > doubted && doubted * 4 > answered,
        "{answered} answered, {doubted} not: one side is hardly tested"
    );
}

fn assert_answered(entity: Entity, text: &str) {
    for mode in [SyncMode::Full, SyncMode::Delta] {
        let context = Load::plain(entity, mode).context();
        let mut fast = FastPath::new(&context).expect("a plain load has a fast path");
        let is_answered = agree(&mut fast, &context, text).expect("the same row");
        assert!(is_answered, "would be slow: {text}");
    }
}

#[test]
fn a_clean_record_with_every_field_is_answered_for_every_entity() {
    for spec in entity::ALL {
        assert_answered(spec.entity, &generate::clean(spec));
    }
}

#[test]
fn records_with_external_ids_only_are_answered() {
    for spec in entity::ALL {
        let mut record: serde_json::Value =
            serde_json::from_str(&generate::clean(spec)).expect("JSON");
        let fields = record.as_object_mut().expect("an object");
        fields.retain(|name, _| {
            name == "externalId"
                || !name.to_lowercase().ends_with("id")
                || name.ends_with("ExternalId")
        });
        assert_answered(spec.entity, &record.to_string());
    }
}

#[test]
fn records_as_the_crawler_sends_them_are_answered() {
    let moment = Utc
        .timestamp_opt(1_700_000_000, 123_456_700)
        .single()
        .expect("a moment");
    let extended = json!({
        "onPremisesExtensionAttributes": {"extensionAttribute2": "x", "extensionAttribute10": null},
        "otherMails": ["a@b.example", "ü"], "employeeOrgData": {"costCenter": "7", "division": "R&D \"A/B\""},
        "signInSessionsValid": true, "count": -3, "ratio": 0.25
    });
    let extended = extended.as_object().cloned();
    let principal = Principal {
        id: Some(Uuid::from_u128(1)),
        principal_type: Some(principal_type::EXTERNAL_USER),
        display_name: "Jürgen \"JJ\" Müller \u{1F600}".into(),
        manager_id: Some(Uuid::from_u128(2)),
        account_enabled: Some(false),
        created_date_time: Some(moment),
        extended_attributes: extended.clone(),
        ..Principal::default()
    };
    let text = serde_json::to_string(&principal).expect("serialises");
    assert_answered(Entity::Principals, &text);
    // As JSON encoders write that know only ASCII.
    let ascii = text
        .replace('ü', "\\u00fc")
        .replace('\u{1F600}', "\\ud83d\\ude00");
    assert_answered(Entity::Principals, &ascii);

    let resource = Resource {
        id: Some(Uuid::from_u128(3)),
        resource_type: Some(resource_type::ENTRA_GROUP),
        display_name: "Readers".into(),
        description: Some("Line\nbreak and tab\t".into()),
        is_assignable_to_role: Some(true),
        extended_attributes: extended,
        ..Resource::default()
    };
    let text = serde_json::to_string(&resource).expect("serialises");
    assert_answered(Entity::Resources, &text);

    let mut assignment = ResourceAssignment::new(assignment_type::ELIGIBLE);
    assignment.resource_id = Some(Uuid::from_u128(3));
    assignment.principal_id = Some(Uuid::from_u128(1));
    assignment.start_date_time = Some(moment);
    assignment.role_scope = Some("/administrativeUnits/7".into());
    assignment.source_id = Some("lAPpYvVpN0KRkAEhdxReEJC2sEqbR_9Hr48lds9SGHI-1".into());
    let text = serde_json::to_string(&assignment).expect("serialises");
    assert_answered(Entity::ResourceAssignments, &text);
}

#[test]
fn the_fast_path_answers_inside_a_scope_and_not_outside() {
    let context = Load {
        scope: Scope::from([("assignmentType".to_owned(), "Direct".to_owned())]),
        ..Load::plain(Entity::ResourceAssignments, SyncMode::Full)
    }
    .context();
    let mut fast = FastPath::new(&context).expect("a plain load has a fast path");
    let id = Uuid::from_u128(1);
    let mut answered = |more: &str| {
        let text = format!(r#"{{"resourceId":"{id}","principalId":"{id}"{more}}}"#);
        agree(&mut fast, &context, &text).expect("the same row")
    };
    assert!(answered(""));
    assert!(answered(r#","assignmentType":"Direct","systemId":7"#));
    assert!(!answered(r#","assignmentType":"Owner""#));
    assert!(!answered(r#","systemId":8"#));
}
