//! The simulator's promises, through real HTTP.

mod app_access;
mod assertions;
mod batches;
mod bent;
mod client;
mod deltas;
mod faults;
mod followers;
mod governance;
mod links;
mod lists;
mod people;
mod permissions;
mod profiles;
mod tenants;
mod throttling;
mod tokens;
