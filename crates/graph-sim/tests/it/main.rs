//! The simulator's promises, through real HTTP.

mod batches;
mod client;
mod deltas;
mod faults;
mod links;
mod lists;
mod permissions;
mod tenants;
mod throttling;
mod tokens;
