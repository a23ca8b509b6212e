//! Signed assertions instead of a secret: the application's own, by certificate, and those of other issuers.

use std::collections::HashSet;

use chrono::Utc;
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::SignatureVerificationAlgorithm;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use uuid::Uuid;
use webpki::EndEntityCert;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};

use super::token::{base64_url, from_base64_url};
use crate::options::{SimOptions, TrustedIssuer};

/// An application's own assertion holds this long at most.
const LONGEST_LIFE_S: i64 = 600;
/// By so much clocks may differ.
const CLOCK_SKEW_S: i64 = 300;

/// Entra's number for what is wrong, and its sentence.
pub(crate) type Refusal = (u32, &'static str);

/// A token taken apart, not yet believed.
struct Parts<'a> {
    header: Value,
    claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part| serde_json::from_slice(&from_base64_url(part)?).ok();
        Some(Self {
            header: json(header)?,
            claims: json(claims)?,
            signed,
            signature: from_base64_url(signature)?,
        })
    }

    fn is_signed_by(&self, certificate: &CertificateDer<'_>) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match self.header["alg"].as_str() {
            Some("PS256") => RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            Some("RS256") => RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
            certificate
                .verify_signature(algorithm, self.signed.as_bytes(), &self.signature)
                .is_ok()
        })
    }

    fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap_or("")
    }

    fn is_in_time(&self, longest_life_s: i64) -> bool {
        let now = Utc::now().timestamp();
        let Some(expires) = self.claims["exp"].as_i64() else {
            return false;
        };
        let begins = self.claims["nbf"].as_i64().unwrap_or(now);
        expires > now && begins <= now + CLOCK_SKEW_S && expires - now <= longest_life_s
    }

    fn has_audience(&self, wanted: &str) -> bool {
        match &self.claims["aud"] {
            Value::String(one) => one == wanted,
            Value::Array(several) => several.iter().any(|one| one == wanted),
            _ => false,
        }
    }
}

/// Does this assertion prove the application? `seen` holds the ids of those that were used.
pub(crate) fn verify(
    token: &str,
    token_url: &str,
    options: &SimOptions,
    seen: &mut HashSet<String>,
) -> Result<(), Refusal> {
    let parts = Parts::of(token).ok_or((50_027, "JWT token is invalid or malformed."))?;
    let is_own = Uuid::parse_str(parts.text("iss")).ok() == Some(options.client_id);
    if is_own {
        own(&parts, token_url, options, seen)
    } else {
        federated(&parts, &options.federated_credentials)
    }
}

fn own(
    parts: &Parts<'_>,
    token_url: &str,
    options: &SimOptions,
    seen: &mut HashSet<String>,
) -> Result<(), Refusal> {
    let thumbprint = parts.header["x5t#S256"].as_str().unwrap_or("");
    let is_registered = options.certificates.iter().any(|pem| {
        CertificateDer::from_pem_slice(pem.as_bytes()).is_ok_and(|certificate| {
            base64_url(digest(&SHA256, &certificate).as_ref()) == thumbprint
                && parts.is_signed_by(&certificate)
        })
    });
    if !is_registered {
        return Err((
            700_027,
            "The certificate with identifier used to sign the client assertion is not registered on application.",
        ));
    }
    if !parts.has_audience(token_url) {
        return Err((
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        ));
    }
    if parts.text("sub") != parts.text("iss") {
        return Err((
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        ));
    }
    if !parts.is_in_time(LONGEST_LIFE_S) {
        return Err((
            700_024,
            "Client assertion is not within its valid time range.",
        ));
    }
    let id = parts.text("jti");
    if id.is_empty() || !seen.insert(id.to_owned()) {
        return Err((50_027, "JWT token is invalid or malformed."));
    }
    Ok(())
}

fn federated(parts: &Parts<'_>, registered: &[TrustedIssuer]) -> Result<(), Refusal> {
    let of_issuer = |one: &&TrustedIssuer| one.issuer == parts.text("iss");
    if !registered.iter().any(|one| of_issuer(&one)) {
        return Err((
            700_211,
            "No matching federated identity record found for presented assertion issuer.",
        ));
    }
    let matching = registered
        .iter()
        .filter(of_issuer)
        .find(|one| one.subject == parts.text("sub"));
    let Some(credential) = matching else {
        return Err((
            700_213,
            "No matching federated identity record found for presented assertion subject.",
        ));
    };
    if !parts.has_audience(&credential.audience) {
        return Err((
            700_212,
            "No matching federated identity record found for presented assertion audience.",
        ));
    }
    let is_signed = CertificateDer::from_pem_slice(credential.certificate.as_bytes())
        .is_ok_and(|certificate| parts.is_signed_by(&certificate));
    if !is_signed {
        return Err((50_013, "Assertion failed signature validation."));
    }
    if !parts.is_in_time(i64::MAX) {
        return Err((
            700_024,
            "Client assertion is not within its valid time range.",
        ));
    }
    Ok(())
}
