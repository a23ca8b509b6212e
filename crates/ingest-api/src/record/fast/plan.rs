//! What is known before the first record: where each field goes, what it may be, what the load says about it.

use std::sync::Arc;

use contract::SyncMode;

use super::rule::{RecordRules, Rule};
use crate::{
    entity::{Column, ColumnKind, EntitySpec, IdSpace},
    record::{IdRule, LoadContext, Value, convert},
};

/// Most fields of a record; an entity with more has no fast path.
pub const MAX_FIELDS: usize = 40;

/// A field that a record may have.
#[derive(Debug)]
pub struct Field {
    name: String,
    /// What becomes of it.
    pub target: Target,
    /// What it may be; none where that is not known here.
    pub rule: Option<Rule>,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The value of a column of this type.
    Column(ColumnKind),
    /// The external id that a reference is derived from.
    External,
    /// More extended attributes.
    Extended,
    /// The system, which must be the load's.
    System,
}

/// How an id that is not there is derived.
#[derive(Debug)]
pub struct Derived {
    /// The place of the column.
    pub column: usize,
    /// The place of the field that has the external id.
    pub external: usize,
    /// The space that the external id belongs to.
    pub space: IdSpace,
    /// Is it the record's own id?
    pub is_own: bool,
    /// The place of the field whose word decides about the space.
    pub word: Option<usize>,
}

/// An entity's fields. The first ones are the columns, in the order of the specification.
#[derive(Debug)]
pub struct EntityPlan {
    fields: Vec<Field>,
    table: NameTable,
    /// How many columns the key has.
    pub keys: usize,
    /// How many columns there are, those of the key included.
    pub columns: usize,
    /// Ids that may have to be derived.
    pub derived: Vec<Derived>,
    /// Places of fields that a full record must have.
    pub required: Vec<usize>,
    /// Places of columns that cannot be null.
    pub never_null: Vec<usize>,
}

impl EntityPlan {
    /// The plan of an entity, if its schema is one that the fast path knows.
    pub fn new(spec: &EntitySpec, rules: &RecordRules) -> Option<Self> {
        let mut fields: Vec<Field> = Vec::new();
        let mut add = |name: &str, target: Target| {
            let rule = match target {
                Target::System => None,
                _ => rules.fields.get(name).copied().flatten(),
            };
            let name = name.to_owned();
            fields.push(Field { name, target, rule });
        };
        for column in spec.all_columns() {
            add(column.wire, Target::Column(column.kind));
        }
        for external in spec.all_columns().filter_map(Column::external_wire) {
            add(&external, Target::External);
        }
        add("extendedAttributes", Target::Extended);
        add("systemId", Target::System);

        let place = |name: &str| fields.iter().position(|field| field.name == name);
        let derived = derived(spec, &place)?;
        let required = rules
            .required
            .iter()
            .map(|name| place(name))
            .collect::<Option<_>>()?;
        let is_known = |name: &String| place(name).is_some();
        if fields.len() > MAX_FIELDS || !rules.fields.keys().all(is_known) {
            return None;
        }
        Some(Self {
            table: NameTable::new(&fields),
            never_null: (0..)
                .zip(spec.all_columns())
                .filter(|(at, column)| *at < spec.key.len() || column.is_required)
                .map(|(at, _)| at)
                .collect(),
            keys: spec.key.len(),
            columns: spec.key.len() + spec.columns.len(),
            fields,
            derived,
            required,
        })
    }

    /// The place of the field with this name.
    #[inline]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.table
            .candidates(name)
            .find(|place| self.fields[*place].name == name)
    }

    /// The field at a place.
    #[inline]
    pub fn field(&self, place: usize) -> &Field {
        &self.fields[place]
    }
}

/// How ids that are not there are derived; none where that takes a field that is unknown.
fn derived(spec: &EntitySpec, place: &impl Fn(&str) -> Option<usize>) -> Option<Vec<Derived>> {
    let mut all = Vec::new();
    for (at, column) in spec.all_columns().enumerate() {
        let own_space = spec.id_space.filter(|_| column.wire == "id");
        let (external, space) = match (own_space, column.refers_to) {
            (None, None) => continue,
            (Some(_), Some(_)) => return None,
            (Some(space), None) => ("externalId".to_owned(), space),
            (None, Some(space)) => (column.external_wire()?, space),
        };
        let word = match space {
            IdSpace::Members => Some("memberType"),
            IdSpace::Holders => Some("principalType"),
            _ => None,
        };
        all.push(Derived {
            column: at,
            external: place(&external)?,
            space,
            is_own: own_space.is_some(),
            word: match word {
                None => None,
                Some(word) => Some(place(word)?),
            },
        });
    }
    Some(all)
}

/// Finds a field by its name without looking at all of them.
#[derive(Debug)]
struct NameTable {
    /// One more than the place of a field; 0 where there is none.
    slots: [u8; Self::SLOTS],
}

impl NameTable {
    const SLOTS: usize = 256;

    fn new(fields: &[Field]) -> Self {
        let mut slots = [0; Self::SLOTS];
        for (place, field) in fields.iter().enumerate() {
            let mut slot = Self::first_slot(&field.name);
            while slots[slot] != 0 {
                slot = (slot + 1) % Self::SLOTS;
            }
            slots[slot] = place as u8 + 1;
        }
        Self { slots }
    }

    /// Places of fields that may have this name.
    #[inline]
    fn candidates(&self, name: &str) -> impl Iterator<Item = usize> {
        let first = Self::first_slot(name);
        (0..MAX_FIELDS)
            .map(move |step| self.slots[(first + step) % Self::SLOTS])
            .take_while(|place| *place != 0)
            .map(|place| usize::from(place) - 1)
    }

    /// Length, first, last and middle letter differ for nearly all fields of an entity.
    #[inline]
    fn first_slot(name: &str) -> usize {
        let bytes = name.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return 0;
        };
        let middle = bytes[bytes.len() / 2];
        let mixed = bytes.len() * 31
            + usize::from(*first) * 7
            + usize::from(*last) * 13
            + usize::from(middle) * 59;
        mixed % Self::SLOTS
    }
}

/// A scope key of the load.
#[derive(Debug)]
pub struct ScopeField {
    /// The place of its field.
    pub place: usize,
    /// What a record must say.
    pub text: String,
    /// The same as an id, where the column holds one.
    pub id: Option<[u8; 16]>,
}

/// The plan of a load.
#[derive(Debug)]
pub struct LoadPlan {
    /// The plan of its entity.
    pub entity: Arc<EntityPlan>,
    /// What a record that does not say where in the scope it lies is taken to say.
    pub scope: Vec<ScopeField>,
    /// The system that a record may name.
    pub system_id: i64,
    /// How ids come about.
    pub ids: IdRule,
    /// Is a field that is not there cleared?
    pub is_full: bool,
    /// The value of each column for a record that has none.
    pub defaults: Vec<Value>,
}

impl LoadPlan {
    /// The plan of a load, if nothing about it is unusual.
    pub fn new(context: &LoadContext) -> Option<Self> {
        let entity = Arc::clone(context.schemas.plan(context.spec.entity)?);
        let scope = context
            .scope
            .iter()
            .map(|(name, text)| ScopeField::new(&entity, name, text))
            .collect::<Option<_>>()?;
        let defaults = context
            .spec
            .all_columns()
            .map(|column| convert::default_of(column).ok())
            .collect::<Option<Vec<Value>>>()?;
        Some(Self {
            scope,
            system_id: i64::from(context.system_id),
            ids: context.ids.clone(),
            is_full: context.mode == SyncMode::Full,
            defaults,
            entity,
        })
    }
}

impl ScopeField {
    fn new(entity: &EntityPlan, name: &str, text: &str) -> Option<Self> {
        let place = entity.place(name)?;
        let field = entity.field(place);
        let id = match field.target {
            Target::Column(ColumnKind::Text) => None,
            Target::Column(ColumnKind::Uuid) => Some(super::id(text).ok()?),
            _ => return None,
        };
        let is_allowed = field.rule.is_some_and(|rule| rule.form.allows(text));
        is_allowed.then(|| Self {
            place,
            text: text.to_owned(),
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity;

    #[test]
    fn every_entity_has_a_plan_that_finds_its_fields_and_no_others() {
        for spec in entity::ALL {
            let schema = contract::record_schema(spec.entity).to_value();
            let rules = RecordRules::derive(&schema).expect("a known schema");
            let plan = EntityPlan::new(spec, &rules).expect("a plan");
            for (place, field) in plan.fields.iter().enumerate() {
                assert_eq!(plan.place(&field.name), Some(place), "{}", field.name);
                assert_eq!(plan.place(&format!("{}x", field.name)), None);
            }
            for (place, column) in spec.all_columns().enumerate() {
                assert_eq!(plan.place(column.wire), Some(place), "{}", column.wire);
            }
            for unknown in ["", "ID", "costCentre", "displayname", "é"] {
                assert_eq!(plan.place(unknown), None, "{unknown}");
            }
        }
    }

    #[test]
    fn a_rule_for_a_field_without_a_place_leaves_the_entity_to_the_careful_path() {
        let spec = entity::ALL[0];
        let schema = contract::record_schema(spec.entity).to_value();
        let mut rules = RecordRules::derive(&schema).expect("a known schema");
        rules.fields.insert("newField".into(), None);
        assert!(EntityPlan::new(spec, &rules).is_none());
    }
}
