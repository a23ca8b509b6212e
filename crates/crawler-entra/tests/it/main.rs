//! A crawl of a simulated tenant into a register that remembers what it got.

mod binary;
mod cancelling;
mod completeness;
mod contents;
mod governance;
mod hostile_pages;
mod resilience;
mod security;
mod support;
mod windows;
