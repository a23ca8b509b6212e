//! Secrets among the settings: given themselves, or as the file that holds them, and never shown.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::Config;

/// What a reference to a file begins with.
const FILE: &str = "file:";

/// Reads the secrets that are references, and puts the password into the database's address. All that is wrong is named.
pub fn read(config: &mut Config) -> Result<(), Vec<String>> {
    // In the address from now on; once is enough.
    let password = config.database_password.take();
    config.database_url = database_address(&config.database_url, password.as_ref())?;
    Ok(())
}

/// A database's address and password, each itself or `file:PATH`, as one address. All that is wrong is named.
pub fn database_address(
    url: &SecretString,
    password: Option<&SecretString>,
) -> Result<SecretString, Vec<String>> {
    let address = read_one("database-url", url);
    let password = password
        .map(|password| read_one("database-password", password))
        .transpose();
    match (address, password) {
        (Ok(address), Ok(password)) => with_password(&address, password.as_ref())
            .ok_or_else(|| vec![crate::DatabaseError::Address.to_string()]),
        (address, password) => Err([address.err(), password.err()]
            .into_iter()
            .flatten()
            .collect()),
    }
}

/// A secret itself, or what its file holds but for the end of the line.
pub fn read_one(name: &str, secret: &SecretString) -> Result<SecretString, String> {
    let Some(path) = secret.expose_secret().strip_prefix(FILE) else {
        return Ok(secret.clone());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{name}: the file {path} cannot be read: {error}"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(format!("{name}: the file {path} is empty"));
    }
    Ok(text.to_owned().into())
}

/// The address with a password, whatever signs that has; `None` when the address is none.
fn with_password(address: &SecretString, password: Option<&SecretString>) -> Option<SecretString> {
    let mut url = Url::parse(address.expose_secret()).ok()?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return None;
    }
    let Some(password) = password else {
        return Some(address.clone());
    };
    // What looks encoded is not: it is the password.
    let password = password.expose_secret().replace('%', "%25");
    url.set_password(Some(&password)).ok()?;
    Some(String::from(url).into())
}

/// What may be shown of a secret: which file it is in, or the address without password and parameters.
pub fn masked(text: &str) -> String {
    if text.starts_with(FILE) {
        return text.to_owned();
    }
    let Ok(mut url) = Url::parse(text) else {
        return "***".to_owned();
    };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return "***".to_owned();
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_wherever_it_stands() {
        for (secret, shown) in [
            ("hunter2", "***"),
            ("https://a:hunter2@b/", "***"),
            (
                "postgres://a:hunter2@b:5/c?password=hunter2#hunter2",
                "postgres://a:***@b:5/c",
            ),
            ("postgres://a@b/c", "postgres://a@b/c"),
            ("file:/run/secrets/url", "file:/run/secrets/url"),
        ] {
            assert_eq!(masked(secret), shown);
        }
    }

    #[test]
    fn any_password_gets_into_the_address_as_it_is() {
        for password in ["p@ss:w/rd?#%", " ", "ü%41"] {
            let address = with_password(&"postgres://me@host/db".into(), Some(&password.into()));
            let address = address.expect("an address");
            let options: sqlx::postgres::PgConnectOptions =
                address.expose_secret().parse().expect("read back");
            let shown = format!("{options:?}");
            assert!(shown.contains(&format!("{password:?}")), "{shown}");
        }
        assert!(with_password(&"mysql://a/b".into(), None).is_none());
    }
}
