//! What callers write into secret fields: a secret, a reference to one, or nothing any more.

use contract::{
    RecordError,
    crawler::{NewSecrets, SecretField, SecretText},
};
use url::Url;

use super::fault::fault;

/// What becomes of a secret field.
#[derive(Debug, Clone)]
pub enum NewSecret {
    /// Nothing is there any more.
    Clear,
    /// The worker finds it there.
    Reference(String),
    /// It is sealed here.
    Value(SecretText),
}

/// Most bytes of a secret.
const MAX_BYTES: usize = 64 * 1024;

/// Reads the secrets of a body, refusing what cannot be one.
pub fn read(secrets: NewSecrets, faults: &mut Vec<RecordError>) -> Vec<(SecretField, NewSecret)> {
    let mut read = Vec::new();
    for (field, text) in secrets {
        let new = match text {
            None => Ok(NewSecret::Clear),
            Some(text) => one(field, text),
        };
        match new {
            Ok(new) => read.push((field, new)),
            Err(detail) => faults.push(fault(format!("/secrets/{}", field.wire_name()), detail)),
        }
    }
    read
}

fn one(field: SecretField, secret: SecretText) -> Result<NewSecret, &'static str> {
    let text = secret.expose();
    if text.is_empty() {
        return Err("a secret is not empty; null clears it");
    }
    if text.len() > MAX_BYTES {
        return Err("the text is too long for a secret");
    }
    if is_mask(text) {
        return Err("this is the mask of a secret, not the secret; leave the field out to keep it");
    }
    if text.starts_with("file:") || text.starts_with("env:") {
        return if is_reference(text) {
            Ok(NewSecret::Reference(text.to_owned()))
        } else {
            Err("a reference is file:/path, without '..', or env:NAME")
        };
    }
    let is_lines = field == SecretField::Certificate;
    if text
        .chars()
        .any(|c| c.is_control() && !(is_lines && matches!(c, '\n' | '\r' | '\t')))
    {
        return Err("the text holds control characters");
    }
    if !is_lines && text.trim() != text {
        return Err("the text begins or ends with white space");
    }
    match field {
        SecretField::Certificate
            if !(text.contains("-----BEGIN CERTIFICATE-----")
                && text.contains("PRIVATE KEY-----")) =>
        {
            Err("the text must be PEM with the certificate and its private key")
        }
        SecretField::Proxy if !is_proxy(text) => {
            Err("a proxy is http://host:port, https://host:port or none")
        }
        _ => Ok(NewSecret::Value(secret)),
    }
}

/// Texts that stand for a secret that is not shown, in our answers or in those of others.
fn is_mask(text: &str) -> bool {
    let bare = text
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_ascii_lowercase();
    text.trim()
        .chars()
        .all(|c| matches!(c, '*' | '•' | '●' | '·' | '.' | '…'))
        || ["redacted", "hidden", "masked"].contains(&bare.as_str())
}

/// Is this where a worker can find a secret?
fn is_reference(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("file:") {
        return path.len() <= 4_096
            && path.len() > 1
            && path.starts_with('/')
            && !path.split('/').any(|part| part == "..")
            && !path.contains(char::is_control);
    }
    text.strip_prefix("env:").is_some_and(|name| {
        (1..=128).contains(&name.len())
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn is_proxy(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
        || Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_wrong_references_and_pasted_white_space_are_no_secrets() {
        use SecretField::{Certificate, CertificatePassword, ClientSecret, Proxy};
        for (field, text) in [
            (ClientSecret, ""),
            (ClientSecret, "****"),
            (ClientSecret, "••••••••"),
            (ClientSecret, "[REDACTED]"),
            (ClientSecret, "<hidden>"),
            (ClientSecret, " * * "),
            (ClientSecret, "file:relative"),
            (ClientSecret, "file:/a/../b"),
            (ClientSecret, "file:/"),
            (ClientSecret, "env:1X"),
            (ClientSecret, "env:A B"),
            (ClientSecret, "env:"),
            (ClientSecret, "secret\n"),
            (ClientSecret, " secret"),
            (CertificatePassword, "a\0b"),
            (Certificate, "-----BEGIN CERTIFICATE-----"),
            (Proxy, "socks5://x"),
            (Proxy, "host:8080"),
        ] {
            let refused = one(field, text.to_owned().into());
            if text == " * * " {
                // Blanks between stars: white space at the ends refuses it all the same.
                assert!(refused.is_err());
                continue;
            }
            assert!(refused.is_err(), "{field:?} {text:?}");
        }
        assert!(matches!(
            one(ClientSecret, "a~b.C*_d".to_owned().into()),
            Ok(NewSecret::Value(_))
        ));
        for text in ["file:/run/secrets/entra", "env:CADASTRE_SECRET_A"] {
            assert!(matches!(
                one(Certificate, text.to_owned().into()),
                Ok(NewSecret::Reference(reference)) if reference == text
            ));
        }
        assert!(one(Proxy, "http://user:word@proxy:8080".to_owned().into()).is_ok());
    }
}
