//! The server's promises, through its real HTTP edge against a real PostgreSQL.

mod app;

mod access_control;
mod bad_input;
mod chunked_form;
mod expiry;
mod generated_ids;
mod guarded_removal;
mod held_sets;
mod identity_atlas_example;
mod merge_model;
mod races;
mod retention;
mod retention_model;
mod retention_of_loads;
mod sessions;
mod single_calls;
