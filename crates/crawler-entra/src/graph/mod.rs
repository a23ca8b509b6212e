//! The Graph client: paging, batches, retries, rate, and the guard that keeps the token at home.
//!
//! In go addresses below the configured origin; out come JSON objects, or a [`GraphError`] that says whether the
//! collection is forbidden, unlicensed, unavailable or broken. Everything Graph answers is untrusted input.

mod attempt;
mod batch;
mod body;
mod client;
mod delta;
mod error;
mod gather;
mod lane;
mod lanes;
mod list;
mod meter;
mod origin;

pub(crate) use attempt::failure_class;
pub(crate) use batch::SubRequest;
pub(crate) use body::Answered;
pub(crate) use client::Graph;
pub(crate) use error::GraphError;
pub(crate) use list::{ListEvent, NextLink, Page, Restarts, Unparsed};
pub(crate) use meter::{Fault, Meter, OTHER};
pub(crate) use origin::Version;
