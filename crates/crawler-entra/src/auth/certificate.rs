//! A certificate and its private key, and the assertion that they sign.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use p12_keystore::Pkcs12Archive;
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::AuthError;

/// How long an assertion holds; Entra takes up to ten minutes.
const HOLDS_S: i64 = 540;
/// How far back it begins to hold, for clocks that differ.
const BACK_S: i64 = 60;

/// A certificate that cannot be used. Holds nothing of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Neither PEM nor PKCS#12.
    #[error("it is neither PEM nor PFX (PKCS#12)")]
    Unreadable,
    /// The PFX file does not open.
    #[error(
        "the PFX file does not open: its password is wrong or missing (CADASTRE_GRAPH_CERTIFICATE_PASSWORD or Graph.SignIn.CertificatePassword), or its encryption is not supported"
    )]
    Locked,
    /// No private key there.
    #[error("there is no private key in it")]
    NoKey,
    /// The PEM's private key is encrypted.
    #[error(
        "its private key is encrypted; give a PFX file with its password, or the key in plain PEM that only this user can read"
    )]
    EncryptedKey,
    /// Something else than RSA with 2048 bits or more.
    #[error("its private key is not an RSA key of 2048 bits or more, which Entra needs")]
    UnusableKey,
    /// No certificate belongs to the key.
    #[error("there is no certificate in it that belongs to the private key")]
    NoMatch,
}

/// A certificate of the application, ready to sign. Cheap to clone; shows nothing of its key.
#[derive(Clone)]
pub struct ClientCertificate {
    key: Arc<RsaKeyPair>,
    thumbprint: String,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// What a file brings: certificates and private keys, as DER.
#[derive(Default)]
struct Found {
    certificates: Vec<Vec<u8>>,
    keys: Vec<Key>,
    has_encrypted_key: bool,
}

enum Key {
    Pkcs8(Vec<u8>),
    Pkcs1(Vec<u8>),
    Other,
}

impl ClientCertificate {
    /// Reads a PEM or PFX file; of a PEM file the private key may be in another. Chains are welcome: the certificate that
    /// belongs to the key is found among them.
    pub fn from_bytes(
        file: &[u8],
        key_file: Option<&[u8]>,
        password: Option<&SecretString>,
    ) -> Result<Self, CertificateError> {
        let is_pem = |bytes: &[u8]| bytes.windows(11).any(|window| window == b"-----BEGIN ");
        let mut found = Found::default();
        for file in std::iter::once(file).chain(key_file) {
            if is_pem(file) {
                found.add_pem(file)?;
            } else {
                found.add_pfx(file, password)?;
            }
        }
        found.pair()
    }

    /// The certificate's SHA-256 thumbprint as the assertion names it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The signed assertion that this application asks this address for a token.
    pub(super) fn assertion(
        &self,
        audience: &str,
        client_id: &str,
        now: DateTime<Utc>,
        id: Uuid,
    ) -> Result<SecretString, AuthError> {
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let now = now.timestamp();
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": id,
            "nbf": now - BACK_S, "iat": now - BACK_S, "exp": now + HOLDS_S,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PSS_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| AuthError::CannotSign)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

impl Found {
    fn add_pem(&mut self, text: &[u8]) -> Result<(), CertificateError> {
        let unreadable = |_| CertificateError::Unreadable;
        // The reader skips what it does not know, an encrypted key too, which deserves a word of its own.
        let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        self.has_encrypted_key |= text.windows(label.len()).any(|window| window == label);
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            match section.map_err(unreadable)? {
                (SectionKind::Certificate, der) => self.certificates.push(der),
                (SectionKind::PrivateKey, der) => self.keys.push(Key::Pkcs8(der)),
                (SectionKind::RsaPrivateKey, der) => self.keys.push(Key::Pkcs1(der)),
                (SectionKind::EcPrivateKey, _) => self.keys.push(Key::Other),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_pfx(
        &mut self,
        bytes: &[u8],
        password: Option<&SecretString>,
    ) -> Result<(), CertificateError> {
        // Everything that is DER begins with a sequence.
        if bytes.first() != Some(&0x30) {
            return Err(CertificateError::Unreadable);
        }
        let password = password.map_or("", |password| password.expose_secret());
        let archive =
            Pkcs12Archive::from_pkcs12(bytes, password).map_err(|_| CertificateError::Locked)?;
        let keys = archive.keys.iter();
        self.keys
            .extend(keys.map(|bag| Key::Pkcs8(bag.key.as_der().to_vec())));
        let certificates = archive.certs.iter();
        self.certificates
            .extend(certificates.map(|bag| bag.cert.as_der().to_vec()));
        Ok(())
    }

    /// The first private key that a certificate belongs to.
    fn pair(&self) -> Result<ClientCertificate, CertificateError> {
        if self.keys.is_empty() {
            return Err(if self.has_encrypted_key {
                CertificateError::EncryptedKey
            } else {
                CertificateError::NoKey
            });
        }
        let pairs: Vec<RsaKeyPair> = self.keys.iter().filter_map(Key::pair).collect();
        if pairs.is_empty() {
            return Err(CertificateError::UnusableKey);
        }
        for pair in pairs {
            // A certificate holds its public key in the very form that the key pair gives it in.
            let public = pair.public().as_ref();
            let own = self
                .certificates
                .iter()
                .find(|der| der.windows(public.len()).any(|window| window == public));
            if let Some(der) = own {
                let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, der));
                return Ok(ClientCertificate {
                    key: Arc::new(pair),
                    thumbprint,
                });
            }
        }
        Err(CertificateError::NoMatch)
    }
}

impl Key {
    fn pair(&self) -> Option<RsaKeyPair> {
        match self {
            Self::Pkcs8(der) => RsaKeyPair::from_pkcs8(der).ok(),
            Self::Pkcs1(der) => RsaKeyPair::from_der(der).ok(),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use graph_sim::sample;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn read(file: &[u8], password: Option<&str>) -> Result<ClientCertificate, CertificateError> {
        let password = password.map(SecretString::from);
        ClientCertificate::from_bytes(file, None, password.as_ref())
    }

    fn joined() -> Vec<u8> {
        // Somebody else's certificate first: the one that belongs to the key is found.
        [sample::OTHER_CERTIFICATE, sample::KEY, sample::CERTIFICATE]
            .concat()
            .into_bytes()
    }

    #[test]
    fn every_form_of_the_file_gives_the_same_certificate() {
        let expected = read(&joined(), None).expect("PEM").thumbprint;
        let apart = ClientCertificate::from_bytes(
            sample::CERTIFICATE.as_bytes(),
            Some(sample::KEY.as_bytes()),
            None,
        );
        assert_eq!(apart.expect("two files").thumbprint, expected);
        for (name, pfx, password) in [
            ("AES", sample::PFX, Some(sample::PFX_PASSWORD)),
            ("3DES", sample::PFX_LEGACY, Some(sample::PFX_PASSWORD)),
            ("empty password", sample::PFX_WITHOUT_PASSWORD, Some("")),
            ("no password", sample::PFX_WITHOUT_PASSWORD, None),
        ] {
            let certificate = read(pfx, password).expect(name);
            assert_eq!(certificate.thumbprint, expected, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_apart() {
        let encrypted = sample::CERTIFICATE.to_owned()
            + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let elliptic = sample::CERTIFICATE.to_owned()
            + "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        let foreign = sample::OTHER_CERTIFICATE.to_owned() + sample::KEY;
        for (file, expected) in [
            (b"".as_slice(), CertificateError::Unreadable),
            (b"no certificate", CertificateError::Unreadable),
            (b"0\x03abc", CertificateError::Locked),
            (sample::CERTIFICATE.as_bytes(), CertificateError::NoKey),
            (encrypted.as_bytes(), CertificateError::EncryptedKey),
            (elliptic.as_bytes(), CertificateError::UnusableKey),
            (foreign.as_bytes(), CertificateError::NoMatch),
        ] {
            assert_eq!(read(file, None).expect_err("refused"), expected);
        }
        let wrong = read(sample::PFX, Some("CANARY")).expect_err("refused");
        assert_eq!(wrong, CertificateError::Locked);
    }

    #[test]
    fn an_assertion_is_signed_by_the_key_and_says_what_entra_wants() {
        let certificate = read(&joined(), None).expect("usable");
        let now = DateTime::from_timestamp(1_770_103_871, 0).expect("a time");
        let id = Uuid::from_u128(7);
        let token = certificate
            .assertion("https://login/t/token", "me", now, id)
            .expect("signed");
        let (signed, signature) = token.expose_secret().rsplit_once('.').expect("parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        let public = certificate.key.public().as_ref().to_vec();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &signature)
            .expect("the key's own signature");
        let decoded: Vec<serde_json::Value> = signed
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64"))
            .map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
            .collect();
        assert_eq!(
            decoded[0],
            json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.thumbprint})
        );
        assert_eq!(
            decoded[1],
            json!({"aud": "https://login/t/token", "iss": "me", "sub": "me", "jti": id,
                   "nbf": 1_770_103_811, "iat": 1_770_103_811, "exp": 1_770_104_411})
        );
        let life = decoded[1]["exp"].as_i64().expect("a time")
            - decoded[1]["nbf"].as_i64().expect("a time");
        assert!(life <= 600, "Entra takes ten minutes at most");
    }

    #[test]
    fn a_certificate_shows_its_thumbprint_and_nothing_of_its_key() {
        let shown = format!("{:?}", read(&joined(), None).expect("usable"));
        assert!(shown.contains("thumbprint"));
        assert!(!shown.to_lowercase().contains("key"), "{shown}");
    }
}
