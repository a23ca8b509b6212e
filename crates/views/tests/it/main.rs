//! The views on a real database, against independent models of what they mean.

mod effective;
mod explain;
mod governance;
mod install;
mod isolation;
mod matrix;
mod model;
mod pages;
mod pathological;
mod privileged;
mod random;
mod refresh;
mod register;
mod totals;
