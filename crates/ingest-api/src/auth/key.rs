//! The form of a key.

use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "fgc_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 12;
/// 43 letters of 62 hold 256 bits.
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;

/// A key as a caller sent it, in good form.
pub struct ApiKey {
    /// The unsecret part.
    pub id: String,
    secret: SecretString,
}

/// A new key.
pub struct GeneratedKey {
    /// The whole key, to be shown once.
    pub key: SecretString,
    /// The unsecret part.
    pub id: String,
    /// What is stored of the secret.
    pub secret_hash: [u8; 32],
}

impl GeneratedKey {
    /// Makes a key from the operating system's randomness.
    pub fn generate() -> Self {
        let id = random_text(ID_LENGTH);
        let secret = random_text(SECRET_LENGTH);
        let key = format!("{PREFIX}{id}_{secret}_{}", checksum(&id, &secret));
        Self {
            key: key.into(),
            secret_hash: hash(&secret),
            id,
        }
    }
}

/// Can this be the unsecret part of a key?
pub fn is_key_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl ApiKey {
    /// Reads a key; `None` when its form or checksum is wrong, which needs no look at the database.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('_');
        let (id, secret, sum) = (parts.next()?, parts.next()?, parts.next()?);
        let is_well_formed = parts.next().is_none()
            && id.len() == ID_LENGTH
            && secret.len() == SECRET_LENGTH
            && [id, secret]
                .iter()
                .all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            && checksum(id, secret) == sum;
        is_well_formed.then(|| Self {
            id: id.to_owned(),
            secret: secret.into(),
        })
    }

    /// Does the secret match what is stored? Takes the same time either way.
    pub fn matches(&self, secret_hash: &[u8]) -> bool {
        hash(self.secret.expose_secret()).ct_eq(secret_hash).into()
    }
}

fn random_text(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// CRC-32 in base 62, so that a scanner can tell a real key from a look-alike offline.
fn checksum(id: &str, secret: &str) -> String {
    let mut rest = crc32fast::hash(format!("{id}_{secret}").as_bytes()) as usize;
    let mut text = [b'0'; CHECKSUM_LENGTH];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[rest % 62];
        rest /= 62;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_reads_back_and_matches_only_its_own_hash() {
        let one = GeneratedKey::generate();
        let other = GeneratedKey::generate();
        let read = ApiKey::parse(one.key.expose_secret()).expect("in good form");
        assert_eq!(read.id, one.id);
        assert!(read.matches(&one.secret_hash));
        assert!(!read.matches(&other.secret_hash));
    }

    #[test]
    fn a_key_with_any_letter_changed_is_refused_without_the_database() {
        let key = GeneratedKey::generate();
        let text = key.key.expose_secret();
        for place in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(ApiKey::parse(&changed).is_none(), "letter {place}");
        }
        for bad in ["", "fgc_", "fgc_a_b_c", "Bearer", &format!("{text} ")] {
            assert!(ApiKey::parse(bad).is_none());
        }
    }
}
