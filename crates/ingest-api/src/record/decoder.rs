//! From record texts to a batch.

use std::{collections::BTreeSet, sync::Arc};

use contract::{RecordError, Scope, SyncMode, SystemId};
use serde_json::Map;

use super::{
    IdRule, Key, Refusal, Row, Rows, Schemas, convert::convert, fast::FastPath, rows::RowsBuilder,
    strict::parse_object,
};
use crate::{attributes::Seen, entity::EntitySpec};

/// Longest excerpt of a refused record, in characters.
const MAX_EXCERPT: usize = 500;

/// What a load says about all of its records.
#[derive(Clone)]
pub struct LoadContext {
    /// The entity.
    pub spec: &'static EntitySpec,
    /// The contract's schemas.
    pub schemas: Arc<Schemas>,
    /// The system that every record must belong to.
    pub system_id: SystemId,
    /// Full or delta.
    pub mode: SyncMode,
    /// The scope that every record must lie in.
    pub scope: Scope,
    /// How ids come about.
    pub ids: IdRule,
}

/// The rows of a call, ready to merge.
#[derive(Debug)]
pub struct Batch {
    /// The rows.
    pub rows: Rows,
    /// Keys of refused records, sorted, none of them among the rows: these rows are known to exist in the source and must
    /// not be removed.
    pub refused: Vec<Key>,
    /// Records whose key came again.
    pub duplicates: u64,
}

/// The records of a call.
#[derive(Debug)]
pub struct Decoded {
    /// Rows to merge.
    pub batch: Batch,
    /// Records that are not.
    pub refusals: Vec<Refusal>,
    /// How many records there were.
    pub records: u64,
    /// Characters that were replaced.
    pub replaced: u64,
    /// The extended attributes of the rows.
    pub attributes: Seen,
}

/// Reads the records of a call one after the other; what is bad is refused alone.
pub struct Decoder {
    context: LoadContext,
    fast: Option<FastPath>,
    rows: RowsBuilder,
    refused: BTreeSet<Key>,
    refusals: Vec<Refusal>,
    records: u64,
    replaced: u64,
    attributes: Seen,
}

impl Decoder {
    /// No records yet.
    pub fn new(context: LoadContext) -> Self {
        Self {
            rows: RowsBuilder::new(context.spec),
            fast: FastPath::new(&context),
            context,
            refused: BTreeSet::new(),
            refusals: Vec::new(),
            records: 0,
            replaced: 0,
            attributes: Seen::default(),
        }
    }

    /// The same without the fast path, for the bench that compares the two.
    #[doc(hidden)]
    pub fn careful_only(context: LoadContext) -> Self {
        Self {
            fast: None,
            ..Self::new(context)
        }
    }

    /// Reads the next record: the text of one JSON value. One that is in doubt on the fast path is read carefully.
    pub fn record(&mut self, text: &str) {
        let index = self.records as usize;
        self.records += 1;
        if let Some(fast) = &mut self.fast
            && fast.push(index, text, &mut self.rows).is_ok()
        {
            return;
        }
        if let Err((error, key)) = self.carefully(index, text) {
            self.refusals.push(Refusal {
                error,
                key: key.clone(),
                excerpt: excerpt(text),
            });
            self.refused.extend(key);
        }
    }

    fn carefully(&mut self, index: usize, text: &str) -> Result<(), (RecordError, Option<Key>)> {
        let (object, replaced) = parse_object(text).map_err(|error| {
            let error = RecordError {
                index,
                pointer: String::new(),
                code: error.code.to_owned(),
                detail: error.detail,
            };
            (error, None)
        })?;
        self.replaced += replaced;
        let row = convert(&self.context, index, object)?;
        self.attributes.note_all(&row.extended);
        push(&mut self.rows, &row);
        Ok(())
    }

    /// How many records were read.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Memory that the records take by now, in bytes.
    pub fn size(&self) -> usize {
        self.rows.size() + self.refusals.len() * (4 * MAX_EXCERPT + size_of::<Refusal>())
    }

    /// The batch of all records.
    pub fn finish(self) -> Decoded {
        let (rows, duplicates) = self.rows.finish();
        let refused = self
            .refused
            .into_iter()
            .filter(|key| !rows.contains(key))
            .collect();
        let mut attributes = self.attributes;
        if let Some(mut fast) = self.fast {
            attributes.merge(fast.take_seen());
        }
        Decoded {
            batch: Batch {
                rows,
                refused,
                duplicates,
            },
            refusals: self.refusals,
            records: self.records,
            replaced: self.replaced,
            attributes,
        }
    }
}

fn push(rows: &mut RowsBuilder, row: &Row) {
    rows.push(
        row.index,
        row.key.iter().map(Into::into),
        row.fields
            .iter()
            .map(|field| field.as_ref().map(Into::into)),
        &canonical(&row.extended),
    );
}

/// Extended attributes as JSON text with sorted keys and without spaces.
pub fn canonical(extended: &Map<String, serde_json::Value>) -> Vec<u8> {
    // A serde_json map is ordered by key.
    serde_json::to_vec(extended).expect("a JSON map is written to memory")
}

/// The beginning of a record's text, fit to be stored and shown.
pub fn excerpt(text: &str) -> String {
    text.trim()
        .chars()
        .take(MAX_EXCERPT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
