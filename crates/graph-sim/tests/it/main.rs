//! The simulator's promises, through real HTTP.

mod assertions;
mod batches;
mod client;
mod faults;
mod links;
mod lists;
mod permissions;
mod tenants;
mod throttling;
mod tokens;
