//! API keys: who calls, and what they may do.
//!
//! A key is `fgc_<key id>_<secret>_<checksum>`. The database holds the id and a hash of the secret; 256 random bits
//! need no slow hash. [`Caller`] is the extractor that every handler starts from, but for the health probes and the API's
//! description.

mod caller;
mod docs;
mod key;
mod routes;
mod store;

pub use caller::Caller;
pub use key::{ApiKey, GeneratedKey};
pub use routes::routes;
pub use store::{KeyError, NewKey, create_key, list as list_keys, revoke as revoke_key};
