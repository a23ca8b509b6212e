//! A crawl of a simulated tenant into a register that remembers what it got.

mod binary;
mod cancelling;
mod completeness;
mod contents;
mod hostile_pages;
mod people;
mod resilience;
mod security;
mod support;
mod windows;
