//! A token in use, and what it says about itself.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// A share of the lifetime after which a token is renewed.
const RENEW_AFTER: f64 = 0.8;
/// No lifetime is believed beyond this.
const LONGEST_LIFE_S: u64 = 7 * 24 * 3600;

/// A token in use.
pub(crate) struct Token {
    /// The header that carries it, marked as sensitive.
    pub bearer: HeaderValue,
    /// Counts up with every renewal.
    pub generation: u64,
    pub(super) renew_at: Instant,
    /// `None` when the token does not say.
    pub(super) claims: Option<Claims>,
}

/// What a token says. Read for advice only, so the signature does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The application permissions in it; none at all is an empty list.
    pub roles: Vec<String>,
    /// The application's client id.
    pub app_id: Option<String>,
    pub tenant_id: Option<String>,
    pub issued_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    /// A number, or a text in the answers of some issuers.
    expires_in: Option<Value>,
    /// Seconds since 1970; all that App Service says.
    expires_on: Option<Value>,
}

impl Token {
    /// Reads an issuer's answer.
    pub fn parse(
        body: &[u8],
        generation: u64,
        asked_at: Instant,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let answer: TokenAnswer = serde_json::from_slice(body).ok()?;
        let lifetime_s = match (&answer.expires_in, &answer.expires_on) {
            (Some(seconds), _) => whole(seconds)?,
            (None, Some(time)) => whole(time)?.saturating_sub(now.timestamp().try_into().ok()?),
            (None, None) => return None,
        };
        let token = answer.access_token.expose_secret();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        bearer.set_sensitive(true);
        let life = Duration::from_secs(lifetime_s.min(LONGEST_LIFE_S));
        Some(Self {
            bearer,
            generation,
            renew_at: asked_at + life.mul_f64(RENEW_AFTER),
            claims: claims_in(token),
        })
    }

    /// The same token, due for renewal.
    pub fn rejected(&self) -> Self {
        Self {
            bearer: self.bearer.clone(),
            generation: self.generation,
            renew_at: Instant::now(),
            claims: self.claims.clone(),
        }
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn claims_in(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    // A token without the claim grants nothing; a token that is no object of claims says nothing.
    let claims = claims.as_object()?;
    claims.get("aud").or_else(|| claims.get("roles"))?;
    let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
    let time = |name: &str| DateTime::from_timestamp(claims.get(name)?.as_i64()?, 0);
    let roles = claims.get("roles").and_then(Value::as_array);
    Some(Claims {
        roles: roles
            .into_iter()
            .flatten()
            .filter_map(|role| role.as_str().map(str::to_owned))
            .collect(),
        app_id: text("appid").or_else(|| text("azp")),
        tenant_id: text("tid"),
        issued_at: time("iat"),
        expires_at: time("exp"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_104_411, 0).expect("a time")
    }

    #[test]
    fn permissions_are_read_from_the_token() {
        let roles = |token: &str| claims_in(token).map(|claims| claims.roles);
        let token = jwt(r#"{"aud":"x","roles":["User.Read.All","Member.Read.Hidden"]}"#);
        let expected = ["User.Read.All", "Member.Read.Hidden"].map(str::to_owned);
        assert_eq!(roles(&token), Some(expected.to_vec()));
        assert_eq!(roles(&jwt(r#"{"aud":"x"}"#)), Some(vec![]));
        assert_eq!(roles("opaque"), None);
        assert_eq!(roles("a.b.c"), None);
    }

    #[test]
    fn a_lifetime_may_be_a_number_or_a_text_or_a_moment() {
        for lifetime in [
            r#""expires_in":3600"#,
            r#""expires_in":"3600""#,
            r#""expires_on":"1770108011""#,
            r#""expires_in":"3600","expires_on":"1""#,
        ] {
            let body = format!(r#"{{"access_token":"t",{lifetime}}}"#);
            let asked_at = Instant::now();
            let token = Token::parse(body.as_bytes(), 1, asked_at, now()).expect("usable");
            assert_eq!(token.renew_at - asked_at, Duration::from_secs(2880));
        }
        for useless in [
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","expires_in":"soon"}"#,
            r#"{"expires_in":3600}"#,
        ] {
            let read = Token::parse(useless.as_bytes(), 1, Instant::now(), now());
            assert!(read.is_none(), "{useless}");
        }
    }
}
