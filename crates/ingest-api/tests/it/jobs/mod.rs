//! Jobs: who gets them, who may speak for them, how they end.

mod bench;
mod contested;
mod looks;
mod model;
mod schedules;
mod told;
