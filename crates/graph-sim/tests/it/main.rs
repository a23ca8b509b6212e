//! The simulator's promises, through real HTTP.

mod batches;
mod client;
mod faults;
mod links;
mod lists;
mod people;
mod permissions;
mod tenants;
mod throttling;
mod tokens;
