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
    /// The certificate with its private key as PEM, where it does not come from a file.
    #[serde(skip)]
    pub certificate: Option<SecretString>,
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
                self.certificate_file.is_some() || self.certificate.is_some(),
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
        let password = variable("CADASTRE_GRAPH_CERTIFICATE_PASSWORD")
            .map(SecretString::from)
            .or_else(|| self.certificate_password.clone());
        if let Some(pem) = &self.certificate {
            let pem = pem.expose_secret().as_bytes();
            return ClientCertificate::from_bytes(pem, None, password.as_ref())
                .map_err(|error| vec![format!("the certificate: {error}")]);
        }
        let path = self.certificate_file.as_deref();
        let path = path.ok_or_else(|| one("Graph.SignIn.CertificateFile is missing"))?;
        let file = read_secret(NAME, path)?;
        let key_file = self.certificate_key_file.as_deref();
        let key = key_file
            .map(|path| read_secret("Graph.SignIn.CertificateKeyFile", path))
            .transpose()?;
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

#[cfg(test)]
mod tests {
    use graph_sim::sample;

    use super::{
        super::{ConfigFile, CrawlConfig, Overrides},
        *,
    };

    const CLIENT: &str = "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142";

    fn read(keys: &str, variables: &[(&str, &str)]) -> Result<CrawlConfig, ConfigError> {
        let file = ConfigFile::parse(&format!(r#"{{"Graph": {{{keys}}}}}"#))?;
        let over = Overrides {
            dry_run: true,
            ..Overrides::default()
        };
        file.merge(over, &|name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn method(keys: &str, variables: &[(&str, &str)]) -> Result<SignInMethod, String> {
        let tenant = format!(r#""TenantId": "t", "ClientId": "{CLIENT}""#);
        let keys = [tenant.as_str(), keys].map(str::to_owned);
        let keys = keys.into_iter().filter(|keys| !keys.is_empty());
        let keys: Vec<String> = keys.collect();
        read(&keys.join(", "), variables)
            .map(|config| config.graph.credential.method())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_keys_that_are_set_say_how_to_sign_in() {
        use SignInMethod::{Federated, Github, ManagedIdentity, Secret};
        let kubernetes = ("AZURE_FEDERATED_TOKEN_FILE", "/token");
        let github = [
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                "https://github.example/x?y=z",
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CANARY"),
        ];
        let app_service = [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"),
            ("IDENTITY_HEADER", "CANARY"),
        ];
        for (keys, variables, expected) in [
            (r#""ClientSecret": "s""#, &[][..], Secret),
            (r#""ClientSecret": "s""#, &[kubernetes], Secret),
            (r#""SignIn": {"FederatedTokenFile": "/x"}"#, &[], Federated),
            ("", &[kubernetes], Federated),
            (r#""SignIn": {"Method": "github"}"#, &github, Github),
            (
                r#""SignIn": {"Method": "managed-identity"}"#,
                &[],
                ManagedIdentity,
            ),
            (
                r#""SignIn": {"Method": "managed-identity"}"#,
                &app_service,
                ManagedIdentity,
            ),
            (
                r#""SignIn": {"ManagedIdentityClientId": "x"}"#,
                &[],
                ManagedIdentity,
            ),
            (
                r#""ClientSecret": "s", "SignIn": {"Method": "federated"}"#,
                &[kubernetes],
                Federated,
            ),
        ] {
            assert_eq!(method(keys, variables), Ok(expected), "{keys}");
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_an_error_that_says_which_and_no_secret() {
        let http = [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://github.example"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CANARY"),
        ];
        for (keys, variables, named) in [
            ("", &[][..], "ClientSecret"),
            (
                r#""SignIn": {"Method": "certificate"}"#,
                &[],
                "CertificateFile",
            ),
            (
                r#""SignIn": {"CertificateFile": "/nowhere"}"#,
                &[],
                "/nowhere",
            ),
            (
                r#""SignIn": {"Method": "federated"}"#,
                &[],
                "AZURE_FEDERATED_TOKEN_FILE",
            ),
            (r#""SignIn": {"Method": "github"}"#, &[], "id-token: write"),
            (r#""SignIn": {"Method": "github"}"#, &http, "https://"),
            (
                r#""ClientSecret": "CANARY", "SignIn": {"FederatedTokenFile": "/x"}"#,
                &[],
                "Graph.SignIn.Method",
            ),
            (
                r#""SignIn": {"ManagedIdentityClientId": "x", "ManagedIdentityObjectId": "y"}"#,
                &[],
                "several ways",
            ),
            (r#""SignIn": {"Method": "password"}"#, &[], "password"),
        ] {
            let error = method(keys, variables).expect_err(keys);
            assert!(error.contains(named), "{named} in {error}");
            assert!(!error.contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn a_certificate_is_read_with_the_password_of_the_environment_or_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.pfx");
        std::fs::write(&path, sample::PFX).expect("a file");
        let keys = |more: &str| {
            let path = path.display();
            format!(r#""SignIn": {{"CertificateFile": "{path}"{more}}}"#)
        };
        let password = format!(r#", "CertificatePassword": "{}""#, sample::PFX_PASSWORD);
        let wrong = r#", "CertificatePassword": "CANARY""#;
        let variable = [("CADASTRE_GRAPH_CERTIFICATE_PASSWORD", sample::PFX_PASSWORD)];
        let expected = Ok(SignInMethod::Certificate);
        assert_eq!(method(&keys(&password), &[]), expected);
        assert_eq!(method(&keys(wrong), &variable), expected);
        let error = method(&keys(wrong), &[]).expect_err("refused");
        assert!(error.contains("password is wrong"), "{error}");
        assert!(!error.contains("CANARY"), "{error}");
    }

    #[test]
    fn a_workload_identity_brings_tenant_and_client_along_and_a_managed_one_needs_no_client() {
        let variables = [
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_TENANT_ID", "from-platform"),
            ("AZURE_CLIENT_ID", CLIENT),
        ];
        let config = read("", &variables).expect("usable");
        assert_eq!(config.graph.tenant_id, "from-platform");
        assert_eq!(config.graph.client_id, CLIENT);
        let keys = r#""TenantId": "t", "Cloud": "usgov", "SignIn": {"Method": "managed-identity"}"#;
        let config = read(keys, &[]).expect("usable");
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.graph.audience(), "https://graph.microsoft.us");
    }

    #[test]
    fn a_clouds_addresses_hold_unless_one_is_given() {
        let keys = r#""TenantId": "t", "ClientId": "c", "ClientSecret": "s", "Cloud": "china", "BaseUrl": "https://gate.example", "Resource": "https://microsoftgraph.chinacloudapi.cn/""#;
        let config = read(keys, &[]).expect("usable");
        assert_eq!(config.graph.base_url.host_str(), Some("gate.example"));
        let login = config.graph.login_base_url.host_str();
        assert_eq!(login, Some("login.chinacloudapi.cn"));
        assert_eq!(
            config.graph.audience(),
            "https://microsoftgraph.chinacloudapi.cn"
        );
    }
}
