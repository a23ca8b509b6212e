//! The simulator's promises, through real HTTP.

mod batches;
mod client;
mod faults;
mod governance;
mod links;
mod lists;
mod permissions;
mod tenants;
mod throttling;
mod tokens;
