//! The simulator's promises, through real HTTP.

mod app_access;
mod batches;
mod client;
mod faults;
mod links;
mod lists;
mod permissions;
mod tenants;
mod throttling;
mod tokens;
