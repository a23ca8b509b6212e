//! The key-encryption keys: several that read, one that writes.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{KeyBytes, SecretPlace};

/// Why a secret cannot be sealed or opened. Says nothing about its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no key at all.
    #[error("this server has no key for secrets; set CADASTRE_KEY_FILE or CADASTRE_KEYS")]
    NoKey,
    /// It was sealed with a key that is not here.
    #[error("it was sealed with the key '{0}', which this server does not have")]
    UnknownKey(String),
    /// It is not what was sealed for this place, or no longer.
    #[error("it was changed, or belongs to another place")]
    Broken,
    /// It is there or not there against what the crawler says.
    #[error("it is missing")]
    Missing,
    /// Whoever holds the key did not answer as hoped.
    #[error("the holder of the key refused: {0}")]
    Refused(String),
}

/// A secret as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The key that the data key is wrapped with.
    pub key_id: String,
    /// The data key.
    pub wrapped_key: Vec<u8>,
    /// The secret, encrypted with the data key.
    pub ciphertext: Vec<u8>,
}

/// A key-encryption key, wherever it lives: it wraps data keys and unwraps them. The hook for a KMS.
pub trait KeyEncryption: Send + Sync {
    /// Encrypts a data key, bound to a context.
    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a KeyBytes,
    ) -> BoxFuture<'a, Result<Vec<u8>, SecretError>>;

    /// Decrypts a data key. [`SecretError::Broken`] for what was not wrapped by this key for this context.
    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<KeyBytes, SecretError>>;
}

/// A key-encryption key in this process' memory.
pub struct LocalKey(pub KeyBytes);

impl KeyEncryption for LocalKey {
    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a KeyBytes,
    ) -> BoxFuture<'a, Result<Vec<u8>, SecretError>> {
        ready(
            self.0
                .seal(context, key.expose())
                .ok_or(SecretError::Broken),
        )
        .boxed()
    }

    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<KeyBytes, SecretError>> {
        let key = self.0.open(context, wrapped);
        let key = key.and_then(|key| KeyBytes::from_slice(&key));
        ready(key.ok_or(SecretError::Broken)).boxed()
    }
}

/// The keys of this server. Without any, secrets are neither taken nor opened.
#[derive(Clone, Default)]
pub struct Keyring {
    active: Option<String>,
    keys: BTreeMap<String, Arc<dyn KeyEncryption>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("active", &self.active)
            .field("keys", &self.keys.keys())
            .finish()
    }
}

impl Keyring {
    /// No keys.
    pub fn none() -> Self {
        Self::default()
    }

    /// A key that writes, and reads what it wrote.
    pub fn new(active: impl Into<String>, key: Arc<dyn KeyEncryption>) -> Self {
        let active = active.into();
        Self {
            keys: BTreeMap::from([(active.clone(), key)]),
            active: Some(active),
        }
    }

    /// And a further one that only reads.
    #[must_use]
    pub fn and(mut self, key_id: impl Into<String>, key: Arc<dyn KeyEncryption>) -> Self {
        self.keys.insert(key_id.into(), key);
        self
    }

    /// The key that writes.
    pub fn active_id(&self) -> Option<&str> {
        self.active.as_deref()
    }

    /// All keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Arc<dyn KeyEncryption>)> {
        self.keys.iter().map(|(id, key)| (id.as_str(), key))
    }

    /// Is this key here?
    pub fn has(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    fn key(&self, key_id: &str) -> Result<&Arc<dyn KeyEncryption>, SecretError> {
        if self.keys.is_empty() {
            return Err(SecretError::NoKey);
        }
        let key = self.keys.get(key_id);
        key.ok_or_else(|| SecretError::UnknownKey(key_id.to_owned()))
    }

    /// Seals a secret for its place, with a data key of its own. Also answers a fingerprint that tells this sealing from
    /// others; who has both the secret and the database, but no key, cannot compare them by it.
    pub async fn seal(
        &self,
        place: SecretPlace<'_>,
        secret: &SecretString,
    ) -> Result<(SealedSecret, String), SecretError> {
        let active = self.active_id().ok_or(SecretError::NoKey)?;
        let data_key = KeyBytes::random();
        let text = secret.expose_secret().as_bytes();
        let ciphertext = data_key.seal(&place.bytes("secret"), text);
        let sealed = SealedSecret {
            key_id: active.to_owned(),
            wrapped_key: self
                .key(active)?
                .wrap(&context_of_key(place, active), &data_key)
                .await?,
            ciphertext: ciphertext.ok_or(SecretError::Broken)?,
        };
        Ok((sealed, fingerprint(&data_key, text)))
    }

    /// Opens a secret at its place.
    pub async fn open(
        &self,
        place: SecretPlace<'_>,
        sealed: &SealedSecret,
    ) -> Result<SecretString, SecretError> {
        let data_key = self.data_key(place, sealed).await?;
        let plain = data_key.open(&place.bytes("secret"), &sealed.ciphertext);
        let plain = plain.ok_or(SecretError::Broken)?;
        let text = std::str::from_utf8(&plain).map_err(|_| SecretError::Broken)?;
        Ok(text.to_owned().into())
    }

    /// The data key of a secret, wrapped with the key that writes now.
    pub async fn rewrap(
        &self,
        place: SecretPlace<'_>,
        sealed: &SealedSecret,
    ) -> Result<SealedSecret, SecretError> {
        let active = self.active_id().ok_or(SecretError::NoKey)?;
        let data_key = self.data_key(place, sealed).await?;
        Ok(SealedSecret {
            key_id: active.to_owned(),
            wrapped_key: self
                .key(active)?
                .wrap(&context_of_key(place, active), &data_key)
                .await?,
            ciphertext: sealed.ciphertext.clone(),
        })
    }

    async fn data_key(
        &self,
        place: SecretPlace<'_>,
        sealed: &SealedSecret,
    ) -> Result<KeyBytes, SecretError> {
        self.key(&sealed.key_id)?
            .unwrap(&context_of_key(place, &sealed.key_id), &sealed.wrapped_key)
            .await
    }
}

/// A wrapped data key is bound to its place and to the id of the key that wraps it.
fn context_of_key(place: SecretPlace<'_>, key_id: &str) -> Vec<u8> {
    let mut context = place.bytes("key");
    context.extend(key_id.as_bytes());
    context
}

/// Salted with the data key, so that a weak secret cannot be guessed from it.
fn fingerprint(data_key: &KeyBytes, secret: &[u8]) -> String {
    let whole: [u8; 32] = Sha256::new()
        .chain_update(b"cadastre fingerprint 1")
        .chain_update(data_key.expose())
        .chain_update(secret)
        .finalize()
        .into();
    let mut digest = [0; 16];
    digest.copy_from_slice(&whole[..16]);
    let number = u128::from_be_bytes(digest);
    // 48 bits tell settings apart.
    format!("{:012x}", number >> 80)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn local() -> Arc<dyn KeyEncryption> {
        Arc::new(LocalKey(KeyBytes::random()))
    }

    const PLACE: SecretPlace<'static> = SecretPlace {
        workspace_id: 1,
        crawler_id: Uuid::from_u128(7),
        field: "clientSecret",
        version: 3,
    };

    #[tokio::test]
    async fn a_secret_opens_at_its_place_only() {
        let keyring = Keyring::new("a", local()).and("b", local());
        let secret = SecretString::from("CANARY");
        let (sealed, fingerprint) = keyring.seal(PLACE, &secret).await.expect("sealed");
        let opened = keyring.open(PLACE, &sealed).await.expect("opened");
        assert_eq!(opened.expose_secret(), "CANARY");
        let (again, other) = keyring.seal(PLACE, &secret).await.expect("sealed");
        assert_ne!((fingerprint, &sealed), (other, &again));
        for elsewhere in [
            SecretPlace {
                workspace_id: 2,
                ..PLACE
            },
            SecretPlace {
                crawler_id: Uuid::from_u128(8),
                ..PLACE
            },
            SecretPlace {
                field: "certificate",
                ..PLACE
            },
            SecretPlace {
                version: 2,
                ..PLACE
            },
        ] {
            let refused = keyring.open(elsewhere, &sealed).await.map(|_| ());
            assert_eq!(refused, Err(SecretError::Broken));
            assert_eq!(
                keyring.rewrap(elsewhere, &sealed).await,
                Err(SecretError::Broken)
            );
        }
        // The parts of two sealings do not fit together, nor does another key's name.
        for mixed in [
            SealedSecret {
                wrapped_key: again.wrapped_key.clone(),
                ..sealed.clone()
            },
            SealedSecret {
                ciphertext: again.ciphertext.clone(),
                ..sealed.clone()
            },
            SealedSecret {
                key_id: "b".into(),
                ..sealed.clone()
            },
        ] {
            let refused = keyring.open(PLACE, &mixed).await.map(|_| ());
            assert_eq!(refused, Err(SecretError::Broken));
        }
        assert!(!format!("{keyring:?} {sealed:?}").contains("CANARY"));
    }

    #[tokio::test]
    async fn a_data_key_moves_from_key_to_key_and_the_secret_stays() {
        let (old, new) = (local(), local());
        let before = Keyring::new("old", old.clone());
        let both = Keyring::new("new", new.clone()).and("old", old);
        let after = Keyring::new("new", new);
        let (sealed, _) = before.seal(PLACE, &"CANARY".into()).await.expect("sealed");
        let moved = both.rewrap(PLACE, &sealed).await.expect("moved");
        assert_eq!(moved.ciphertext, sealed.ciphertext);
        let opened = after.open(PLACE, &moved).await.expect("opened");
        assert_eq!(opened.expose_secret(), "CANARY");
        let refused = after.open(PLACE, &sealed).await.map(|_| ());
        assert_eq!(refused, Err(SecretError::UnknownKey("old".into())));
        let refused = Keyring::none().open(PLACE, &sealed).await.map(|_| ());
        assert_eq!(refused, Err(SecretError::NoKey));
        let refused = Keyring::none().seal(PLACE, &"x".into()).await.map(|_| ());
        assert_eq!(refused, Err(SecretError::NoKey));
    }
}
