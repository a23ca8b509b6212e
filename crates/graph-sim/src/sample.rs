//! Made-up credentials that a simulator accepts from the start. They protect nothing: anybody may read them here.

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::server::token::base64_url;

/// A certificate that the simulated application has registered (PEM).
pub const CERTIFICATE: &str = include_str!("../fixtures/certificate.pem");
/// Its private key (PKCS#8, PEM).
pub const KEY: &str = include_str!("../fixtures/key.pem");
/// A certificate that nobody has registered (PEM).
pub const OTHER_CERTIFICATE: &str = include_str!("../fixtures/other-certificate.pem");
/// The private key of the unregistered one (PKCS#8, PEM).
pub const OTHER_KEY: &str = include_str!("../fixtures/other-key.pem");
/// The registered certificate and its key as PKCS#12, in the encryption of today.
pub const PFX: &[u8] = include_bytes!("../fixtures/application.pfx");
/// The same in the encryption of old (3DES and SHA-1).
pub const PFX_LEGACY: &[u8] = include_bytes!("../fixtures/application-legacy.pfx");
/// The password of both.
pub const PFX_PASSWORD: &str = "simulated";
/// The same without a password.
pub const PFX_WITHOUT_PASSWORD: &[u8] = include_bytes!("../fixtures/application-no-password.pfx");

/// Who issues the assertions of [`federated_assertion`].
pub const ISSUER: &str = "https://issuer.simulated.example";
/// For whom they are issued.
pub const SUBJECT: &str = "system:serviceaccount:cadastre:crawler";
/// The audience that a federated credential expects.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// An assertion of the sample issuer as the registered federated credential wants it, good for so many seconds from now.
pub fn federated_assertion(subject: &str, holds_s: i64) -> String {
    let now = chrono::Utc::now().timestamp();
    let claims = json!({
        "iss": ISSUER, "sub": subject, "aud": [AUDIENCE],
        "iat": now, "nbf": now - 5, "exp": now + holds_s,
    });
    sign(&json!({"alg": "RS256", "typ": "JWT"}), &claims, OTHER_KEY)
}

/// Any token, signed with one of the sample keys by RS256.
pub fn sign(header: &Value, claims: &Value, key: &str) -> String {
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).expect("the sample keys are PEM");
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("the sample keys are RSA");
    let part = |value: &Value| base64_url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .expect("the buffer has the size of the key");
    format!("{signed}.{}", base64_url(&signature))
}
