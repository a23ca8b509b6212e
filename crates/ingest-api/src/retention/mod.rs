//! Retention: what is kept for how long, and the purge that takes the rest away.
//!
//! The purge works in small steps, each a transaction of its own with a bounded number of rows, and pauses between them.
//! It holds no lock for long, waits for nobody's, stops when told to, and can be stopped and started at any moment: what
//! is left is found again. However many replicas run, one step is under way at a time.
//!
//! The history is kept for ever, unless said otherwise; then it goes in whole months.
//!
//! What is never purged: a live row; a removed row whose removal is younger than its retention, or younger than the
//! beginning of a load that is still open, or that is part of a change set which waits for a person; runs that may be resumed; sessions, which say where every row and version comes from; change sets and run reports. The audit log goes only when that is
//! asked for. A row's last version
//! went to `history` when it was removed, so what was so at any moment can still be told after the row is purged. A load that
//! is about to bring a removed row back locks it first; when the purge was faster, the load finds it gone and begins anew.

mod audit;
mod held_rows;
mod history_months;
mod loads;
mod removed_rows;
mod round;
mod settings;

pub use round::{PURGE_LOCK, Purged, purge, run};
pub use settings::{InvalidKeep, Keep, Pace, Retention};
