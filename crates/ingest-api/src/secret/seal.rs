//! One authenticated encryption: AES-256-GCM with a random nonce.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload, consts::U12},
};
use rand::Rng as _;
use secrecy::zeroize::Zeroizing;

/// The first byte of everything that is sealed: how it was.
const FORM: u8 = 1;
const NONCE_BYTES: usize = 12;

/// A key. It is wiped from memory with the value.
pub struct KeyBytes(Zeroizing<[u8; 32]>);

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl KeyBytes {
    /// A key of 32 bytes; `None` for any other number.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        (bytes.len() == key.len()).then(|| {
            key.copy_from_slice(bytes);
            Self(key)
        })
    }

    /// A new key.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(key.as_mut_slice());
        Self(key)
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.expose().into())
    }

    /// Encrypts, bound to a context. `None` when the text is too long for the method (64 GiB).
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: context,
        };
        let nonce = Nonce::<U12>::from(nonce);
        let sealed = self.cipher().encrypt(&nonce, payload).ok()?;
        let mut bytes = vec![FORM];
        bytes.extend(nonce);
        bytes.extend(sealed);
        Some(bytes)
    }

    /// Decrypts what was sealed with this key for this context and has not changed since; `None` for anything else.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (form, rest) = sealed.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: context,
        };
        let nonce = Nonce::<U12>::from(*nonce);
        let plain = (*form == FORM)
            .then(|| self.cipher().decrypt(&nonce, payload))?
            .ok()?;
        Some(Zeroizing::new(plain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_key_and_context_and_nothing_that_differs_in_a_bit_does(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            context in proptest::collection::vec(any::<u8>(), 0..50),
            place in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let key = KeyBytes::random();
            let sealed = key.seal(&context, &plain).expect("short");
            prop_assert_eq!(key.open(&context, &sealed).map(|plain| plain.to_vec()), Some(plain.clone()));
            prop_assert_ne!(&key.seal(&context, &plain).expect("short"), &sealed);
            let mut flipped = sealed.clone();
            flipped[place.index(sealed.len())] ^= 1 << bit;
            prop_assert!(key.open(&context, &flipped).is_none());
            prop_assert!(key.open(&context, &sealed[..place.index(sealed.len())]).is_none());
            let mut elsewhere = context.clone();
            elsewhere.push(0);
            prop_assert!(key.open(&elsewhere, &sealed).is_none());
            prop_assert!(KeyBytes::random().open(&context, &sealed).is_none());
        }
    }
}
