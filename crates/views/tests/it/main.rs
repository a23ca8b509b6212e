//! The views on a real database, against independent models of what they mean.

mod effective;
mod explain;
mod install;
mod isolation;
mod model;
mod pages;
mod privileged;
mod random;
mod refresh;
mod register;
