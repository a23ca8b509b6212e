//! People: how they sign in, what their sessions bear, and what they may do.

mod attacks;
mod bootstrap;
mod browser;
mod certified;
mod decisions;
mod directory;
mod fake;
mod matrix;
mod quiet;
mod roles;
mod sessions;
mod tokens;
