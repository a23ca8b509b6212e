//! Loads: single calls and sessions of batches.
//!
//! A load belongs to one key, system, entity and scope. Its batches may come in any order, in parallel and more than
//! once; rows become visible with their batch's answer. Every batch notes the rows that it met (`rows_met`); a full load's
//! commit removes what neither it nor, since its reading began, any other load met. Between calls a session is rows in the
//! database and nothing else. What a delta session is told to remove is staged, and removed or held at its commit.

mod batch;
mod commit;
mod completeness;
mod docs;
mod expiry;
pub mod gate;
mod give_up;
mod incomplete;
mod open;
mod outcome;
mod quarantine;
mod removals;
mod routes;
mod store;

pub use batch::{
    Arrived, Brought, Place, apply_batch, decoder, has_batch, note_attributes, put_batch, touch,
};
pub use commit::{End, close, commit, conclude};
pub use expiry::expire_abandoned;
pub use give_up::give_up_run;
pub use incomplete::{mark_all_incomplete, mark_incomplete};
pub use open::{check, open, scope_is_busy};
pub use outcome::keep_outcome;
pub use quarantine::store as quarantine;
pub use removals::named_keys;
pub use routes::routes;
pub use store::{Form, Session, insert as insert_session, load as load_session, scope_key};
