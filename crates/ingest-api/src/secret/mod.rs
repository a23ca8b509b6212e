//! Secrets at rest: envelope encryption.
//!
//! A secret is encrypted with a data key of its own, and that with a key-encryption key, which is in a file or in the
//! environment and never in the database ([`Keyring`]). Both encryptions are bound to the workspace, the crawler, the
//! field and the version ([`SecretPlace`]): what is moved, replaced, changed or put back from a backup of one row does not
//! open. Several keys can read, one writes; [`rewrap`] moves data keys to the one that writes, without touching the secrets.
//!
//! What enters are [`secrecy`] values and what leaves are too: no secret and no key is in `Debug` output or an error.

mod keyring;
mod place;
mod rewrap;
mod seal;
mod source;
mod store;
mod unlock;

pub use keyring::{KeyEncryption, Keyring, LocalKey, SealedSecret, SecretError};
pub use place::SecretPlace;
pub use rewrap::{KeyUse, RewrapError, Rewrapped, discard, key_uses, rewrap};
pub use seal::KeyBytes;
pub use source::{KeySource, KeySourceError, write_new_key};
pub use store::{delete, get, put};
pub use unlock::{UnlockError, unlock};
