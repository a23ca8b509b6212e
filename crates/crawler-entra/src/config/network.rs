//! The way out: proxy and trusted roots, the same for Graph, the sign-in and the register.

use std::{fmt, path::PathBuf};

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{ConfigError, file::secret};

/// Proxy and trusted roots. The default is the environment's proxy and the system's roots.
#[derive(Clone, Default)]
pub struct Network {
    proxy: ProxyChoice,
    roots: Vec<Certificate>,
}

/// Through which proxy requests go. `NO_PROXY` holds for an explicit one as well.
#[derive(Clone, Default)]
enum ProxyChoice {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    #[default]
    Environment,
    None,
    /// May hold a user name and password.
    Explicit(SecretString),
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = match &self.proxy {
            ProxyChoice::Environment => "environment",
            ProxyChoice::None => "none",
            ProxyChoice::Explicit(_) => "explicit",
        };
        f.debug_struct("Network")
            .field("proxy", &proxy)
            .field("roots", &self.roots.len())
            .finish()
    }
}

impl Network {
    /// Goes through this proxy (`http://…` or `https://…`, perhaps with a user name and password); `none` means none at all,
    /// whatever the environment says.
    pub fn with_proxy(mut self, proxy: SecretString) -> Result<Self, ConfigError> {
        let text = proxy.expose_secret();
        self.proxy = if text.eq_ignore_ascii_case("none") {
            ProxyChoice::None
        } else {
            let is_address = Url::parse(text)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
            if !is_address {
                return Err(ConfigError::Invalid(vec![
                    "Network.Proxy must be http://host:port, https://host:port or none".to_owned(),
                ]));
            }
            ProxyChoice::Explicit(proxy)
        };
        Ok(self)
    }

    /// Trusts the certificates of a PEM text as roots, beside the system's.
    pub fn with_roots(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        let roots = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if roots.is_empty() {
            return Err(ConfigError::Invalid(vec![
                "Network.CaFile holds no certificate (it must be PEM)".to_owned(),
            ]));
        }
        self.roots.extend(roots);
        Ok(self)
    }

    /// The builder with these settings.
    pub(crate) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match &self.proxy {
            ProxyChoice::Environment => builder,
            ProxyChoice::None => builder.no_proxy(),
            ProxyChoice::Explicit(address) => match Proxy::all(address.expose_secret()) {
                Ok(proxy) => builder.proxy(proxy.no_proxy(NoProxy::from_env())),
                // The address was checked; should it be refused all the same, nothing may go out past the proxy: an address
                // that nobody serves sees to that.
                Err(_) => builder.proxy(Proxy::custom(|_| Some("http://127.0.0.1:9"))),
            },
        };
        if self.roots.is_empty() {
            builder
        } else {
            builder.tls_certs_merge(self.roots.iter().cloned())
        }
    }
}

/// `Network` in the file: the same way out to Graph, the sign-in and the register.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct NetworkSection {
    /// The proxy's address, or `none`; absent means the environment's.
    #[serde(deserialize_with = "secret")]
    pub proxy: Option<SecretString>,
    /// A PEM file of further trusted roots.
    pub ca_file: Option<PathBuf>,
}

impl NetworkSection {
    pub(super) fn resolve(
        self,
        proxy: Option<SecretString>,
        ca_file: Option<PathBuf>,
    ) -> Result<Network, ConfigError> {
        let mut network = Network::default();
        if let Some(proxy) = proxy.or(self.proxy) {
            network = network.with_proxy(proxy)?;
        }
        if let Some(path) = ca_file.or(self.ca_file) {
            let pem =
                std::fs::read(&path).map_err(|error| ConfigError::unreadable(&path, &error))?;
            network = network.with_roots(&pem)?;
        }
        Ok(network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_none_and_its_password_is_never_shown() {
        let read = |text: &str| Network::default().with_proxy(text.to_owned().into());
        for good in [
            "http://proxy:8080",
            "https://user:CANARY@proxy.example",
            "none",
            "NONE",
        ] {
            let network = read(good).expect(good);
            assert!(!format!("{network:?}").contains("CANARY"));
        }
        for bad in [
            "",
            "proxy:8080",
            "socks5://proxy",
            "ftp://CANARY",
            "http://",
        ] {
            let error = read(bad).expect_err(bad);
            assert!(!error.to_string().contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_no_file_of_roots() {
        for text in [
            "",
            "no certificate",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(Network::default().with_roots(text.as_bytes()).is_err());
        }
    }
}
