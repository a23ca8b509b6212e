//! What a filter would do.

pub use contract::{IdentityPreview, UserSample};
