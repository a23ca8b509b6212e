//! The worker's promises: the real binary, against a simulated tenant and the real server.

mod bench;

mod claiming;
mod contained;
mod looking;
mod once;
mod stopping;
