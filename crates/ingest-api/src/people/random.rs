//! Texts that nobody can guess, and what is stored of them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// 256 random bits in base64url.
const LENGTH: usize = 43;

/// 256 random bits, as a text for a cookie or a link.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// A new one.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// One that came back; `None` for what cannot be one.
    pub fn read(text: &str) -> Option<Self> {
        let is_token = text.len() == LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        is_token.then(|| Self(text.into()))
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored of it. 256 random bits need no slow hash.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text().as_bytes()).into()
    }

    /// Another secret that follows from it, and from which it does not.
    pub fn derived(&self, purpose: &str) -> Self {
        let digest = Sha256::digest(format!("{purpose}:{}", self.text()).as_bytes());
        Self(URL_SAFE_NO_PAD.encode(digest).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_is_never_shown_and_gives_away_nothing_by_what_follows_from_it() {
        let (one, other) = (Token::random(), Token::random());
        assert_ne!(one.text(), other.text());
        let read = Token::read(one.text()).expect("a token");
        assert_eq!(read.hash(), one.hash());
        assert_ne!(one.derived("csrf").hash(), one.hash());
        assert_eq!(one.derived("csrf").text(), read.derived("csrf").text());
        assert!(Token::read(one.derived("csrf").text()).is_some());
        assert!(!format!("{one:?}").contains(one.text()));
        for wrong in ["", "short", &format!("{}=", one.text()), &"ä".repeat(43)] {
            assert!(Token::read(wrong).is_none(), "{wrong}");
        }
    }
}
