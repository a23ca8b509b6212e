//! The server's promises, through its real HTTP edge against a real PostgreSQL.

mod app;

mod access_control;
mod bad_input;
mod chunked_form;
mod generated_ids;
mod guarded_removal;
mod identity_atlas_example;
mod merge_model;
mod races;
mod sessions;
mod single_calls;
