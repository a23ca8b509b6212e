//! Who calls, and what they may do: keys here, people and their sessions in `people`.
//!
//! A key is `fgc_<key id>_<secret>_<checksum>`. The database holds the id and a hash of the secret; 256 random bits
//! need no slow hash. [`Caller`] is the extractor that every handler starts from, but for the health probes and the API's
//! description. Each call asks the database whether its key works, so a key that is revoked works nowhere any more; an
//! answer that takes long follows its key with a [`Watch`]. Limits and counts are in the memory of each server
//! (`gatekeeper`).

mod address;
mod authenticate;
mod bucket;
mod caller;
mod docs;
mod door;
mod gatekeeper;
mod key;
mod life;
mod notes;
mod routes;
mod settings;
mod store;
mod uses;
mod watch;

pub use address::{AddressRange, InvalidRange, Origin, Peer};
pub use caller::{Caller, Person, Who, person_named};
pub use gatekeeper::Gatekeeper;
pub use key::{ApiKey, GeneratedKey, is_key_id};
pub use life::{DEFAULT_LIFETIME, Realm, revoke as revoke_key, rotate as rotate_key};
pub use notes::note;
pub use routes::routes;
pub(crate) use routes::{addresses_of, name_of, shown_once};
pub use settings::Doors;
pub(crate) use store::{COLUMNS as KEY_COLUMNS, key_info};
pub use store::{KeyError, Limits, NewKey, create_key, limit as limit_key, list as list_keys};
pub use uses::{keep as keep_uses, write as write_uses};
pub use watch::Watch;
