//! Options of a client.

use std::{sync::Arc, time::Duration};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    ClientError, IngestClient, RetryPolicy, address::api_root, client::Inner, transport::Transport,
};

/// Options of an [`IngestClient`]; the defaults suit a crawler.
pub struct ClientBuilder {
    base_url: Url,
    api_key: SecretString,
    connect_timeout: Duration,
    request_timeout: Duration,
    retry: RetryPolicy,
    compression: bool,
    user_agent: String,
    http: Option<HttpOptions>,
}

/// Options of the HTTP client below.
type HttpOptions = Box<dyn FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send>;

impl ClientBuilder {
    pub(crate) fn new(base_url: Url, api_key: SecretString) -> Self {
        Self {
            base_url,
            api_key,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(300),
            retry: RetryPolicy::default(),
            compression: true,
            user_agent: concat!("cadastre-ingest-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            http: None,
        }
    }

    /// How long a connection may take (10 seconds).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one try may take as a whole (5 minutes: a commit of a large scope takes its time).
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How often and how patiently calls are tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Are bodies compressed with zstd (yes)?
    #[must_use]
    pub fn compression(mut self, enabled: bool) -> Self {
        self.compression = enabled;
        self
    }

    /// The `User-Agent` header.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets what the HTTP client has and this builder does not: a proxy, trusted roots. Time-outs and redirects stay ours.
    #[must_use]
    pub fn http(
        mut self,
        options: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + 'static,
    ) -> Self {
        self.http = Some(Box::new(options));
        self
    }

    /// The client. Nothing is sent yet.
    pub fn build(self) -> Result<IngestClient, ClientError> {
        let root = api_root(&self.base_url)?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.api_key.expose_secret()))
            .map_err(|_| ClientError::BadKey)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);

        // Installing twice is an error that means "already there", which is what we want.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder();
        let http = match self.http {
            Some(options) => options(http),
            None => http,
        };
        let http = http
            .default_headers(headers)
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .timeout(self.request_timeout)
            // A redirect would carry the key to another place.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ClientError::Setup(error.without_url().to_string()))?;
        Ok(IngestClient::from_inner(Arc::new(Inner {
            transport: Transport {
                http,
                root,
                api_key: self.api_key,
                retry: self.retry,
                claim: None,
            },
            compression: self.compression,
        })))
    }
}
