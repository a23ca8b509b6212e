//! What an ID token must be before it is believed.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};
use serde_json::{Map, Value};

/// Longest that an ID token may have been made ago: it is used once, at once.
const MAX_AGE: TimeDelta = TimeDelta::minutes(10);

/// Why an ID token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// No key of the provider's has the token's key id: perhaps one is new.
    #[error("the token names a key that the provider does not have")]
    UnknownKey,
    /// It is no token, or a part of it has the wrong form.
    #[error("the token cannot be read: {0}")]
    Form(String),
    /// A check failed.
    #[error("{0}")]
    Refused(String),
}

/// What is believed of a token.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// A claim that is a text that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty() && !text.contains('\0'))
    }

    /// Does the provider say that the mail address is the person's own?
    pub fn has_verified_email(&self) -> bool {
        self.0.get("email_verified") == Some(&Value::Bool(true))
    }

    fn moment(&self, name: &str) -> Option<Result<DateTime<Utc>, IdTokenError>> {
        let value = self.0.get(name)?;
        let moment = value
            .as_f64()
            .and_then(|seconds| DateTime::from_timestamp(seconds as i64, 0));
        Some(moment.ok_or_else(|| IdTokenError::Form(format!("{name} is no moment"))))
    }
}

/// The signature algorithms that count: asymmetric ones that we know.
pub fn known_algorithm(name: &str) -> Option<CoreJwsSigningAlgorithm> {
    use CoreJwsSigningAlgorithm as Algorithm;
    Some(match name {
        "RS256" => Algorithm::RsaSsaPkcs1V15Sha256,
        "RS384" => Algorithm::RsaSsaPkcs1V15Sha384,
        "RS512" => Algorithm::RsaSsaPkcs1V15Sha512,
        "PS256" => Algorithm::RsaSsaPssSha256,
        "PS384" => Algorithm::RsaSsaPssSha384,
        "PS512" => Algorithm::RsaSsaPssSha512,
        "ES256" => Algorithm::EcdsaP256Sha256,
        "ES384" => Algorithm::EcdsaP384Sha384,
        "EdDSA" => Algorithm::EdDsa,
        _ => return None,
    })
}

/// What a token is held against.
pub struct Expected<'a> {
    /// The issuer, letter for letter.
    pub issuer: &'a str,
    /// Who it must be for, and for nobody else.
    pub client_id: &'a str,
    /// The algorithms that the provider says it uses.
    pub algorithms: &'a [CoreJwsSigningAlgorithm],
    /// Its keys.
    pub keys: &'a CoreJsonWebKeySet,
    /// By how much its clock may differ.
    pub clock_skew: Duration,
    /// What was sent along.
    pub nonce: &'a str,
}

impl Expected<'_> {
    /// The claims of a token, when everything about it is right now.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, IdTokenError> {
        let parsed: CoreIdToken = token
            .parse()
            .map_err(|error: serde_json::Error| IdTokenError::Form(error.to_string()))?;
        let skew = TimeDelta::from_std(self.clock_skew)
            .map_err(|error| IdTokenError::Form(error.to_string()))?;
        let issuer = IssuerUrl::new(self.issuer.to_owned())
            .map_err(|error| IdTokenError::Form(error.to_string()))?;
        // A public client to the verifier: symmetric signatures are no signatures then. That a token is for others, too, is
        // refused; so is one of a kind that is no JWT.
        let verifier = CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.client_id.to_owned()),
            issuer,
            self.keys.clone(),
        )
        .set_allowed_algs(self.algorithms.iter().cloned())
        .set_other_audience_verifier_fn(|_| false)
        .set_time_fn(move || now - skew)
        .set_issue_time_verifier_fn(move |issued| {
            if issued > now + skew {
                Err("the token was issued in the future".into())
            } else if issued < now - skew - MAX_AGE {
                Err("the token was issued too long ago".into())
            } else {
                Ok(())
            }
        });
        parsed
            .claims(&verifier, &Nonce::new(self.nonce.to_owned()))
            .map_err(refused)?;
        let claims = payload(token)?;
        if let Some(not_before) = claims.moment("nbf")
            && not_before? > now + skew
        {
            return Err(IdTokenError::Refused("the token is not valid yet".into()));
        }
        if claims.0.contains_key("azp") && claims.text("azp") != Some(self.client_id) {
            return Err(IdTokenError::Refused(
                "the token was made for another client".into(),
            ));
        }
        Ok(claims)
    }
}

fn refused(error: ClaimsVerificationError) -> IdTokenError {
    match error {
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        ) => IdTokenError::UnknownKey,
        // What it says beside the kind is text of the token's.
        ClaimsVerificationError::SignatureVerification(error) => {
            IdTokenError::Refused(format!("the signature is no good: {error:.200}"))
        }
        error => IdTokenError::Refused(format!("{error:.200}")),
    }
}

/// All claims of a token whose signature was checked.
fn payload(token: &str) -> Result<Claims, IdTokenError> {
    let form = |error: &dyn std::fmt::Display| IdTokenError::Form(error.to_string());
    let part = token.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|error| form(&error))?;
    serde_json::from_slice(&bytes)
        .map(Claims)
        .map_err(|error| form(&error))
}
