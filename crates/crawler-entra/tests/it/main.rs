//! A crawl of a simulated tenant into a register that remembers what it got.

mod applications;
mod binary;
mod cancelling;
mod checking;
mod completeness;
mod contents;
mod costs;
mod governance;
mod hostile_pages;
mod network;
mod people;
mod resilience;
mod security;
mod signing_in;
mod support;
mod sweeps;
mod windows;
