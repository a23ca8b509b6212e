//! A sign-in that is under way: begun by a browser, ended by the same one, once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, Row as _};
use url::Url;

use super::random::Token;

/// How long somebody may be at the provider, in seconds.
pub const PATIENCE: u32 = 600;
/// Most sign-ins that are under way.
const MOST: i64 = 10_000;
/// Longest path to return to.
const MAX_PATH: usize = 2_048;

/// What goes to the provider, and to the browser.
pub struct Begun {
    /// Comes back with the person.
    pub state: Token,
    /// Comes back in the token.
    pub nonce: Token,
    /// Shows that who exchanges the code is who asked for it.
    pub pkce_verifier: Token,
    /// Stays in the browser.
    pub browser: Token,
}

impl Begun {
    /// What the provider is told of the verifier.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.pkce_verifier.text().as_bytes()))
    }
}

/// What is known when the person comes back.
pub struct Held {
    /// What the token must hold.
    pub nonce: String,
    /// What the exchange needs.
    pub pkce_verifier: String,
    /// Where the person wanted to go.
    pub return_to: String,
}

/// Begins a sign-in; `None` while far too many are under way.
pub async fn begin(pool: &PgPool, return_to: &str) -> Result<Option<Begun>, sqlx::Error> {
    let begun = Begun {
        state: Token::random(),
        nonce: Token::random(),
        pkce_verifier: Token::random(),
        browser: Token::random(),
    };
    sqlx::query("delete from sign_ins where created_at <= now() - make_interval(secs => $1)")
        .bind(f64::from(PATIENCE))
        .execute(pool)
        .await?;
    let made = sqlx::query(
        "insert into sign_ins (state_hash, browser_hash, nonce, pkce_verifier, return_to) \
         select $1, $2, $3, $4, $5 where (select count(*) from sign_ins) < $6",
    )
    .bind(begun.state.hash().as_slice())
    .bind(begun.browser.hash().as_slice())
    .bind(begun.nonce.text())
    .bind(begun.pkce_verifier.text())
    .bind(return_to)
    .bind(MOST)
    .execute(pool)
    .await?;
    Ok((made.rows_affected() == 1).then_some(begun))
}

/// Takes a sign-in that this browser began. It is gone then, whatever comes of it; that of another browser stays.
pub async fn take(
    pool: &PgPool,
    state: &Token,
    browser: &Token,
) -> Result<Option<Held>, sqlx::Error> {
    let row = sqlx::query(
        "delete from sign_ins where state_hash = $1 and browser_hash = $2 \
         and created_at > now() - make_interval(secs => $3) returning nonce, pkce_verifier, return_to",
    )
    .bind(state.hash().as_slice())
    .bind(browser.hash().as_slice())
    .bind(f64::from(PATIENCE))
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Held {
            nonce: row.try_get("nonce")?,
            pkce_verifier: row.try_get("pkce_verifier")?,
            return_to: row.try_get("return_to")?,
        })
    })
    .transpose()
}

/// Is it a path of this server, however a browser reads it?
pub fn is_local_path(path: &str) -> bool {
    let is_plain = path.len() <= MAX_PATH
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let own = Url::parse("https://cadastre.invalid/").ok();
    is_plain
        && path.starts_with('/')
        && !path.starts_with("//")
        && own.is_some_and(|own| {
            own.join(path)
                .is_ok_and(|joined| joined.origin() == own.origin())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_return_to_a_path_of_this_server_only() {
        for path in ["/", "/principals/1?tab=access", "/a//b", "/x#y"] {
            assert!(is_local_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        for path in [
            "",
            "principals",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "https://evil.test/",
            "javascript:alert(1)",
            "/\t/evil.test",
            "/a\r\nset-cookie: x=y",
            long.as_str(),
        ] {
            assert!(!is_local_path(path), "{path}");
        }
    }
}
