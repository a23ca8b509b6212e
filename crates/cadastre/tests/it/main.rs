//! The whole product, end to end: a simulated tenant, the crawler, the server, PostgreSQL, and the commands people run.

mod attributes;
mod canaries;
mod command;
mod crawlers;
mod days;
mod deltas;
mod demo;
mod dependency_rules;
mod deployment;
mod effective;
mod empty;
mod faults;
mod interrupted;
mod life;
mod oracle;
mod overlapping;
mod partial;
mod processes;
mod profiles;
mod questions;
mod register;
mod restored;
mod resumed;
mod rows;
mod runs;
mod runs_killed;
mod sized;
// The library that sets the clocks is for Linux.
#[cfg(target_os = "linux")]
mod slots;
mod sweeps;
mod truth;
