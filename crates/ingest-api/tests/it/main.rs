//! The server's promises, through its real HTTP edge against a real PostgreSQL.

mod app;
mod client;
mod size;
mod slow_line;

mod access_as_of;
mod access_control;
mod all_new;
mod attributes;
mod attributes_model;
mod attributes_work;
mod bad_input;
mod bodies;
mod chunked_form;
mod disconnects;
mod edge;
mod expiry;
mod generated_ids;
mod guarded_removal;
mod harmless;
mod held_sets;
mod hidden_knowledge;
mod history;
#[cfg(target_os = "linux")]
mod hostile;
mod identity_atlas_example;
mod model;
mod newer_knowledge;
mod odd_dates;
mod odd_ids;
mod odd_keys;
mod odd_names;
mod open_sessions;
mod openapi;
mod openapi_examples;
mod openapi_routes;
mod overload;
mod pressure;
mod races;
mod repetition;
mod retention;
mod retention_model;
mod retention_of_loads;
mod rows;
mod sessions;
mod single_calls;
