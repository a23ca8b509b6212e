//! From record texts to a batch.

use contract::{RecordError, SystemId};

use crate::{
    entity::EntitySpec,
    merge::Batch,
    record::{self, ConvertContext, Refusal},
};

/// Longest excerpt of a refused record.
const MAX_EXCERPT: usize = 500;

/// The records of a call.
#[derive(Default)]
pub struct Decoded {
    /// Rows to merge.
    pub batch: Batch,
    /// Records that are not.
    pub refusals: Vec<Refusal>,
    /// How many records there were.
    pub records: u64,
    /// Characters that were replaced.
    pub replaced: u64,
}

/// Reads records; what is bad is refused alone.
pub fn decode<'a>(context: &ConvertContext<'_>, texts: impl Iterator<Item = &'a str>) -> Decoded {
    let mut decoded = Decoded::default();
    for (index, text) in texts.enumerate() {
        decoded.records += 1;
        let refused = match record::parse_object(text) {
            Err(error) => Some((
                RecordError {
                    index,
                    pointer: String::new(),
                    code: error.code.to_owned(),
                    detail: error.detail,
                },
                None,
            )),
            Ok((object, replaced)) => {
                decoded.replaced += replaced;
                match record::convert(context, index, object) {
                    Ok(row) => {
                        decoded.batch.push(row);
                        None
                    }
                    Err(refused) => Some(refused),
                }
            }
        };
        if let Some((error, key)) = refused {
            if let Some(key) = &key {
                decoded.batch.protect(key.clone());
            }
            decoded.refusals.push(Refusal {
                error,
                key,
                excerpt: excerpt(text),
            });
        }
    }
    decoded
}

/// The beginning of a record's text, fit to be stored and shown.
pub fn excerpt(text: &str) -> String {
    text.trim()
        .chars()
        .take(MAX_EXCERPT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What a load says about its records, as conversion needs it.
pub fn context<'a>(
    spec: &'static EntitySpec,
    schemas: &'a record::Schemas,
    system_id: SystemId,
    mode: contract::SyncMode,
    scope: &'a contract::Scope,
    ids: &'a record::IdRule,
) -> ConvertContext<'a> {
    ConvertContext {
        spec,
        schemas,
        system_id,
        mode,
        scope,
        ids,
    }
}
