//! The fast path: a clean record goes from text to row without a value being made of each field.
//!
//! It knows the common forms only. Whatever else it meets, be it wrong or just rare, it answers [`Doubt`], and the
//! careful path decides: that one alone refuses records, replaces characters and has the last word on what a record
//! means. Where the fast path does answer, its row is the careful path's row byte for byte; `tests` holds it to that.

mod canonical;
mod cursor;
mod date;
mod plan;
mod rule;
#[cfg(test)]
mod tests;
mod text;

use uuid::Uuid;

use self::{
    canonical::{Canonical, members},
    cursor::{Cursor, Number, Raw},
    plan::{Derived, Field, LoadPlan, MAX_FIELDS, Target},
    rule::{Form, is_type_name},
};
use super::{LoadContext, RowsBuilder, ValueRef, convert::space_by_word};
use crate::{attributes::Seen, entity::ColumnKind};

pub use self::{plan::EntityPlan, rule::RecordRules};

/// Longer records are left to the careful path: so a place in one fits 32 bits, and limits beyond this need no check.
const MAX_RECORD: usize = 128 * 1024;

/// The record is not one that the fast path is sure about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt;

/// What a record says in one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot<'a> {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Micros(i64),
    Uuid([u8; 16]),
    /// As it stands in the record.
    Text(&'a str),
    /// A part of the texts that had escapes.
    Unescaped(u32, u32),
    /// An object whose members were written elsewhere.
    Written,
}

type Slots<'a> = [Slot<'a>; MAX_FIELDS];

/// The fast path of one load.
pub struct FastPath {
    plan: LoadPlan,
    unescaped: String,
    extended: Canonical,
}

impl FastPath {
    /// The fast path of a load, if nothing about it is unusual.
    pub fn new(context: &LoadContext) -> Option<Self> {
        Some(Self {
            plan: LoadPlan::new(context)?,
            unescaped: String::new(),
            extended: Canonical::default(),
        })
    }

    /// The attributes of the records that it made rows of since this was last asked.
    pub fn take_seen(&mut self) -> Seen {
        std::mem::take(&mut self.extended.seen)
    }

    /// Makes a row of a record's text, or leaves `rows` as they are.
    pub fn push(&mut self, index: usize, text: &str, rows: &mut RowsBuilder) -> Result<(), Doubt> {
        if text.len() > MAX_RECORD {
            return Err(Doubt);
        }
        let Self {
            plan,
            unescaped,
            extended,
        } = self;
        unescaped.clear();
        extended.begin();
        let mut record = Record {
            plan,
            slots: [Slot::Absent; MAX_FIELDS],
            unescaped,
            extended,
        };
        record.read(&mut Cursor::new(text))?;
        record.place_in_scope()?;
        record.derive_ids()?;
        record.push(index, rows)
    }
}

/// A record that is being read.
struct Record<'a> {
    plan: &'a LoadPlan,
    slots: Slots<'a>,
    unescaped: &'a mut String,
    extended: &'a mut Canonical,
}

impl<'a> Record<'a> {
    fn read(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Doubt> {
        cursor.skip_space();
        members(cursor, |name, cursor| self.field(name, cursor))?;
        cursor.skip_space();
        if cursor.is_at_end() {
            Ok(())
        } else {
            Err(Doubt)
        }
    }

    #[inline]
    fn field(&mut self, name: Raw<'a>, cursor: &mut Cursor<'a>) -> Result<(), Doubt> {
        let entity = &self.plan.entity;
        let place = if name.has_escapes {
            let mut meant = String::new();
            text::unescape(name, &mut meant)?;
            entity.place(&meant)
        } else {
            entity.place(name.text)
        };
        let Some(place) = place else {
            return self.extended.attribute(name, cursor);
        };
        if self.slots[place] != Slot::Absent {
            return Err(Doubt);
        }
        self.slots[place] = self.value(entity.field(place), cursor)?;
        Ok(())
    }

    /// Reads the value of a field that the entity knows.
    #[inline]
    fn value(&mut self, field: &Field, cursor: &mut Cursor<'a>) -> Result<Slot<'a>, Doubt> {
        if field.target == Target::System {
            let is_own = int(cursor)? == self.plan.system_id;
            return is_own.then_some(Slot::Written).ok_or(Doubt);
        }
        let rule = field.rule.ok_or(Doubt)?;
        if cursor.peek() == Some(b'n') {
            cursor.expect_word("null")?;
            return rule.is_nullable.then_some(Slot::Null).ok_or(Doubt);
        }
        match (field.target, rule.form) {
            (Target::Column(ColumnKind::Bool), Form::Bool) => bool(cursor).map(Slot::Bool),
            (Target::Column(ColumnKind::Int), Form::Int) => int(cursor).map(Slot::Int),
            (Target::Column(kind), form @ (Form::Text { .. } | Form::TypeName)) => {
                let text = self.text(cursor)?;
                let read = meaning(text, self.unescaped)?;
                if !form.allows(read) {
                    return Err(Doubt);
                }
                match kind {
                    ColumnKind::Text => Ok(text),
                    ColumnKind::Uuid => id(read).map(Slot::Uuid),
                    ColumnKind::Time => Ok(date::instant(read)?.map_or(Slot::Null, Slot::Micros)),
                    ColumnKind::Bool | ColumnKind::Int => Err(Doubt),
                }
            }
            (Target::External, form @ Form::Text { .. }) => {
                let text = self.text(cursor)?;
                let is_allowed = form.allows(meaning(text, self.unescaped)?);
                is_allowed.then_some(text).ok_or(Doubt)
            }
            (Target::Extended, Form::Object) => {
                self.extended.attributes(cursor)?;
                Ok(Slot::Written)
            }
            _ => Err(Doubt),
        }
    }

    /// Reads a text.
    #[inline]
    fn text(&mut self, cursor: &mut Cursor<'a>) -> Result<Slot<'a>, Doubt> {
        let raw = cursor.string()?;
        if !raw.has_escapes {
            return Ok(Slot::Text(raw.text));
        }
        let start = self.unescaped.len() as u32;
        text::unescape(raw, self.unescaped)?;
        Ok(Slot::Unescaped(start, self.unescaped.len() as u32))
    }

    /// Fills what the record leaves to the scope of the load; what it says itself must be the same.
    fn place_in_scope(&mut self) -> Result<(), Doubt> {
        for wanted in &self.plan.scope {
            let slot = &mut self.slots[wanted.place];
            let is_inside = match (*slot, wanted.id) {
                (Slot::Absent | Slot::Null, id) => {
                    *slot = id.map_or(Slot::Text(&wanted.text), Slot::Uuid);
                    true
                }
                (Slot::Uuid(found), Some(id)) => found == id,
                (found, None) => meaning(found, self.unescaped)? == wanted.text,
                _ => false,
            };
            if !is_inside {
                return Err(Doubt);
            }
        }
        Ok(())
    }

    fn derive_ids(&mut self) -> Result<(), Doubt> {
        for derived in &self.plan.entity.derived {
            if !matches!(self.slots[derived.column], Slot::Absent | Slot::Null)
                || matches!(self.slots[derived.external], Slot::Absent | Slot::Null)
            {
                continue;
            }
            let external = meaning(self.slots[derived.external], self.unescaped)?;
            if !external.is_empty() {
                let id = self.derived_id(derived, external)?;
                self.slots[derived.column] = Slot::Uuid(*id.as_bytes());
            }
        }
        Ok(())
    }

    fn derived_id(&self, derived: &Derived, external: &str) -> Result<Uuid, Doubt> {
        let ids = &self.plan.ids;
        if derived.is_own {
            return Ok(ids.own_id(derived.space, external));
        }
        let word = match derived.word.map(|place| self.slots[place]) {
            None | Some(Slot::Absent | Slot::Null) => None,
            Some(slot) => Some(meaning(slot, self.unescaped)?),
        };
        if word.is_some_and(|word| !is_type_name(word)) {
            return Err(Doubt);
        }
        Ok(ids.reference(space_by_word(derived.space, word), external))
    }

    fn push(self, index: usize, rows: &mut RowsBuilder) -> Result<(), Doubt> {
        let Self {
            plan,
            slots,
            unescaped,
            extended,
        } = self;
        let entity = &plan.entity;
        if plan.is_full
            && entity
                .required
                .iter()
                .any(|place| slots[*place] == Slot::Absent)
        {
            return Err(Doubt);
        }
        let unescaped: &str = unescaped;
        let value = |place: usize| match slots[place] {
            Slot::Absent if !plan.is_full && place >= entity.keys => None,
            Slot::Absent | Slot::Null | Slot::Written => Some((&plan.defaults[place]).into()),
            Slot::Bool(value) => Some(ValueRef::Bool(value)),
            Slot::Int(value) => Some(ValueRef::Int(value)),
            Slot::Micros(value) => Some(ValueRef::Micros(value)),
            Slot::Uuid(id) => Some(ValueRef::Uuid(id)),
            Slot::Text(text) => Some(ValueRef::Text(text)),
            Slot::Unescaped(start, end) => {
                Some(ValueRef::Text(&unescaped[start as usize..end as usize]))
            }
        };
        let is_null = |place: &usize| value(*place) == Some(ValueRef::Null);
        if entity.never_null.iter().any(is_null) {
            return Err(Doubt);
        }
        let extended = extended.end(!plan.is_full)?;
        rows.push(
            index,
            (0..entity.keys).filter_map(value),
            (entity.keys..entity.columns).map(value),
            extended,
        );
        Ok(())
    }
}

/// The text in a slot.
#[inline]
fn meaning<'s>(slot: Slot<'s>, unescaped: &'s str) -> Result<&'s str, Doubt> {
    match slot {
        Slot::Text(text) => Ok(text),
        Slot::Unescaped(start, end) => unescaped.get(start as usize..end as usize).ok_or(Doubt),
        _ => Err(Doubt),
    }
}

/// The id that a text is, in the hyphenated form.
#[inline]
fn id(text: &str) -> Result<[u8; 16], Doubt> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(id.into_bytes()),
        _ => Err(Doubt),
    }
}

fn int(cursor: &mut Cursor<'_>) -> Result<i64, Doubt> {
    match cursor.number()? {
        Number::Integer(text) => text.parse().map_err(|_| Doubt),
        Number::Other(_) => Err(Doubt),
    }
}

fn bool(cursor: &mut Cursor<'_>) -> Result<bool, Doubt> {
    let value = cursor.peek() == Some(b't');
    cursor.expect_word(if value { "true" } else { "false" })?;
    Ok(value)
}
