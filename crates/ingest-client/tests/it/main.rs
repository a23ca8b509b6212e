//! The client against a register that misbehaves as registers do.

mod double;
mod retries;
mod sessions;
