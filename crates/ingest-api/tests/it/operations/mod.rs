//! What whoever runs the server sees of it: its settings, its log, its metrics.

mod config;
mod contained;
mod paths;
mod private;
mod watched;
