//! Where the API is: people write the address with and without `/api`, with and without a slash at the end.

use url::Url;

use crate::ClientError;

/// The address that ends in `/api/`, so that paths can be joined to it.
pub(crate) fn api_root(base_url: &Url) -> Result<Url, ClientError> {
    let bad = |reason: &str| Err(ClientError::BadAddress(reason.to_owned()));
    if !matches!(base_url.scheme(), "http" | "https") {
        return bad("it must start with https:// or http://");
    }
    if !base_url.username().is_empty() || base_url.password().is_some() {
        return bad("it must not hold a user name or password");
    }
    let path = base_url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api").unwrap_or(path);
    let mut root = base_url.clone();
    root.set_path(&format!("{path}/api/"));
    root.set_query(None);
    root.set_fragment(None);
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_the_address_leads_to_the_same_root() {
        for written in [
            "https://c.example",
            "https://c.example/",
            "https://c.example/api",
            "https://c.example/api/",
            "https://c.example/api/?x=1#y",
        ] {
            let root = api_root(&written.parse().expect("url")).expect("usable");
            assert_eq!(root.as_str(), "https://c.example/api/", "{written}");
        }
        let nested = api_root(&"http://h:8080/cadastre/api".parse().expect("url")).expect("usable");
        assert_eq!(nested.as_str(), "http://h:8080/cadastre/api/");
    }

    #[test]
    fn an_address_with_a_password_or_another_scheme_is_refused_without_repeating_it() {
        for written in ["https://user:CANARY@c.example", "ftp://CANARY.example"] {
            let error = api_root(&written.parse().expect("url")).expect_err("refused");
            assert!(!error.to_string().contains("CANARY"), "{error}");
        }
    }
}
