//! Do these keys belong to this database? Found out at the start, not when a crawler signs in with garbage.

use sqlx::{PgPool, Row as _};

use super::{KeyBytes, KeyEncryption, Keyring, SecretError, key_uses};

/// Why the server must not start with these keys.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// Another key has this id.
    #[error(
        "the key '{0}' is not the one that this database knows by that name: give back the right one, or give a new key a \
         name of its own"
    )]
    Wrong(String),
    /// A key is in use and not there.
    #[error(
        "{secrets} secrets in the database are sealed with the key '{key_id}', which is not among the configured ones: add it \
         (CADASTRE_KEY_FILE or CADASTRE_KEYS); where it is to go, run 'cadastre secrets rewrap' first; where it is lost, \
         'cadastre secrets discard {key_id}' gives its secrets up"
    )]
    Missing {
        /// The key.
        key_id: String,
        /// How many secrets need it.
        secrets: i64,
    },
    /// A key cannot be used.
    #[error("the key '{key_id}' cannot be used: {error}")]
    Key {
        /// The key.
        key_id: String,
        /// Why.
        error: SecretError,
    },
    /// PostgreSQL refused.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
}

/// What every key wraps, so that the database can tell a wrong key from the right one. It is no secret.
const CHECK: [u8; 32] = *b"cadastre checks a key with this.";

/// Checks the keys against the database, and makes new ones known to it.
pub async fn unlock(pool: &PgPool, keyring: &Keyring) -> Result<(), UnlockError> {
    for usage in key_uses(pool).await? {
        if usage.secrets > 0 && !keyring.has(&usage.key_id) {
            return Err(UnlockError::Missing {
                key_id: usage.key_id,
                secrets: usage.secrets,
            });
        }
    }
    for (key_id, key) in keyring.keys() {
        check(pool, key_id, key.as_ref()).await?;
    }
    Ok(())
}

async fn check(pool: &PgPool, key_id: &str, key: &dyn KeyEncryption) -> Result<(), UnlockError> {
    let refused = |error| UnlockError::Key {
        key_id: key_id.to_owned(),
        error,
    };
    let context = format!("cadastre key check 1 {key_id}");
    let known = sqlx::query("select check_value from secret_keys where key_id = $1")
        .bind(key_id)
        .fetch_optional(pool)
        .await?;
    let known = if let Some(row) = known {
        row
    } else {
        let check = KeyBytes::from_slice(&CHECK).ok_or_else(|| refused(SecretError::Broken))?;
        let wrapped = key
            .wrap(context.as_bytes(), &check)
            .await
            .map_err(refused)?;
        // Another server may make it known at the same moment: what it wrote counts.
        sqlx::query(
            "insert into secret_keys as k (key_id, check_value) values ($1, $2) \
             on conflict (key_id) do update set key_id = k.key_id returning check_value",
        )
        .bind(key_id)
        .bind(wrapped)
        .fetch_one(pool)
        .await?
    };
    let known: Vec<u8> = known.try_get("check_value")?;
    match key.unwrap(context.as_bytes(), &known).await {
        Ok(opened) if *opened.expose() == CHECK => Ok(()),
        Ok(_) | Err(SecretError::Broken) => Err(UnlockError::Wrong(key_id.to_owned())),
        Err(error) => Err(refused(error)),
    }
}
