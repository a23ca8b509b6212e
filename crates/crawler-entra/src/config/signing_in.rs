//! From keys of the file and variables of the environment to one [`Credential`].
//!
//! A method can be named; otherwise the keys that are set say which is meant. Two that contradict each other are an error,
//! never a guess.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use url::Url;

use super::{
    ConfigError,
    credential::{
        AssertionSource, ClientCertificate, Credential, EXCHANGE_AUDIENCE, IMDS, ManagedIdentity,
        ManagedIdentityEndpoint, ManagedIdentityId, SignInMethod,
    },
    file::secret,
};

/// The keys of `Graph` that say how to sign in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct SignInSection {
    /// Names the method, where the other keys do not.
    pub method: Option<SignInMethod>,
    /// The certificate with its private key: PEM, or PFX (PKCS#12).
    pub certificate_file: Option<PathBuf>,
    /// The private key, when it is in a PEM file of its own.
    pub certificate_key_file: Option<PathBuf>,
    /// The password of a PFX file.
    #[serde(deserialize_with = "secret")]
    pub certificate_password: Option<SecretString>,
    /// A file with a federated assertion.
    pub federated_token_file: Option<PathBuf>,
    /// The audience that GitHub's assertion is made for.
    pub federated_audience: Option<String>,
    /// A user-assigned managed identity, by client id.
    pub managed_identity_client_id: Option<String>,
    /// A user-assigned managed identity, by object id.
    pub managed_identity_object_id: Option<String>,
    /// A user-assigned managed identity, by Azure resource id.
    pub managed_identity_resource_id: Option<String>,
    /// The instance metadata service, when it is not where Azure has it.
    pub imds_base_url: Option<Url>,
}

/// A variable of the environment, or `None` when it is not set or empty.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl SignInSection {
    /// The one credential that is meant. `client_secret` is the documented key, or the variable that wins over it.
    pub(super) fn credential(
        &self,
        client_secret: Option<SecretString>,
        variable: Variable<'_>,
    ) -> Result<Credential, Vec<String>> {
        match self.method_meant(client_secret.is_some(), variable)? {
            SignInMethod::Secret => client_secret.map(Credential::Secret).ok_or_else(|| {
                one("the client secret is missing (Graph.ClientSecret or CADASTRE_GRAPH_CLIENT_SECRET)")
            }),
            SignInMethod::Certificate => self.certificate(variable).map(Credential::Certificate),
            SignInMethod::Federated => {
                let file = self.federated_token_file.clone();
                let file = file.or_else(|| variable("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from));
                file.map(|path| Credential::Federated(AssertionSource::File(path)))
                    .ok_or_else(|| {
                        one("the token file is missing (Graph.SignIn.FederatedTokenFile or AZURE_FEDERATED_TOKEN_FILE)")
                    })
            }
            SignInMethod::Github => self.github(variable).map(Credential::Federated),
            SignInMethod::ManagedIdentity => {
                self.managed_identity(variable).map(Credential::ManagedIdentity)
            }
        }
    }

    fn method_meant(
        &self,
        has_secret: bool,
        variable: Variable<'_>,
    ) -> Result<SignInMethod, Vec<String>> {
        let has_identity = self.managed_identity_client_id.is_some()
            || self.managed_identity_object_id.is_some()
            || self.managed_identity_resource_id.is_some();
        if let Some(method) = self.method {
            return Ok(method);
        }
        let meant: Vec<(SignInMethod, &str)> = [
            (has_secret, SignInMethod::Secret, "a client secret"),
            (
                self.certificate_file.is_some(),
                SignInMethod::Certificate,
                "Graph.SignIn.CertificateFile",
            ),
            (
                self.federated_token_file.is_some(),
                SignInMethod::Federated,
                "Graph.SignIn.FederatedTokenFile",
            ),
            (
                has_identity,
                SignInMethod::ManagedIdentity,
                "Graph.SignIn.ManagedIdentity…Id",
            ),
        ]
        .into_iter()
        .filter_map(|(is_set, method, name)| is_set.then_some((method, name)))
        .collect();
        match meant.as_slice() {
            [(method, _)] => Ok(*method),
            [] if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => Ok(SignInMethod::Federated),
            [] => Err(one(
                "the client secret is missing (Graph.ClientSecret or CADASTRE_GRAPH_CLIENT_SECRET), and no other way of signing in is configured (Graph.SignIn)",
            )),
            several => {
                let names: Vec<&str> = several.iter().map(|(_, name)| *name).collect();
                Err(vec![format!(
                    "several ways of signing in are configured ({}): name one in Graph.SignIn.Method",
                    names.join(", ")
                )])
            }
        }
    }

    fn certificate(&self, variable: Variable<'_>) -> Result<ClientCertificate, Vec<String>> {
        const NAME: &str = "Graph.SignIn.CertificateFile";
        let path = self.certificate_file.as_deref();
        let path = path.ok_or_else(|| one("Graph.SignIn.CertificateFile is missing"))?;
        let file = read_secret(NAME, path)?;
        let key_file = self.certificate_key_file.as_deref();
        let key = key_file
            .map(|path| read_secret("Graph.SignIn.CertificateKeyFile", path))
            .transpose()?;
        let password = variable("CADASTRE_GRAPH_CERTIFICATE_PASSWORD")
            .map(SecretString::from)
            .or_else(|| self.certificate_password.clone());
        let key = key.as_ref().map(ExposeSecret::expose_secret);
        ClientCertificate::from_bytes(file.expose_secret(), key, password.as_ref())
            .map_err(|error| vec![format!("{NAME}: {error}")])
    }

    fn github(&self, variable: Variable<'_>) -> Result<AssertionSource, Vec<String>> {
        let missing = || {
            one(
                "signing in by GitHub needs ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN: give the workflow 'permissions: id-token: write'",
            )
        };
        let url = variable("ACTIONS_ID_TOKEN_REQUEST_URL").ok_or_else(missing)?;
        let token = variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN").ok_or_else(missing)?;
        let request_url: Url = url
            .parse()
            .map_err(|_| one("ACTIONS_ID_TOKEN_REQUEST_URL is no address"))?;
        if !super::is_private(&request_url) {
            return Err(one("ACTIONS_ID_TOKEN_REQUEST_URL must start with https://"));
        }
        let audience = self.federated_audience.clone();
        Ok(AssertionSource::GitHub {
            request_url,
            request_token: token.into(),
            audience: audience.unwrap_or_else(|| EXCHANGE_AUDIENCE.to_owned()),
        })
    }

    fn managed_identity(&self, variable: Variable<'_>) -> Result<ManagedIdentity, Vec<String>> {
        let mut ids: Vec<ManagedIdentityId> = [
            self.managed_identity_client_id
                .clone()
                .map(ManagedIdentityId::Client),
            self.managed_identity_object_id
                .clone()
                .map(ManagedIdentityId::Object),
            self.managed_identity_resource_id
                .clone()
                .map(ManagedIdentityId::Resource),
        ]
        .into_iter()
        .flatten()
        .collect();
        if ids.len() > 1 {
            return Err(one(
                "Graph.SignIn names a managed identity in several ways: keep one of them",
            ));
        }
        let here = variable("IDENTITY_ENDPOINT").zip(variable("IDENTITY_HEADER"));
        let endpoint = match (&self.imds_base_url, here) {
            (Some(url), _) => ManagedIdentityEndpoint::Imds(url.clone()),
            (None, Some((url, header))) => ManagedIdentityEndpoint::AppService {
                url: url
                    .parse()
                    .map_err(|_| one("IDENTITY_ENDPOINT is no address"))?,
                header: header.into(),
            },
            (None, None) => ManagedIdentityEndpoint::Imds(
                Url::parse(IMDS).expect("the address of the metadata service is valid"),
            ),
        };
        Ok(ManagedIdentity {
            id: ids.pop(),
            endpoint,
        })
    }
}

fn one(fault: &str) -> Vec<String> {
    vec![fault.to_owned()]
}

fn read_secret(name: &str, path: &Path) -> Result<SecretSlice<u8>, Vec<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) => {
            let error = ConfigError::unreadable(path, &error);
            Err(vec![format!("{name}: {error}")])
        }
    }
}
