//! Sign-ins that did not work, in our words: a sign-in endpoint may echo what it was sent.

use crate::config::SignInMethod;

/// A sign-in that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("the sign-in was refused (HTTP {status}{}){}{}", code_suffix(*.code), explanation(*.code, *.method), renewal(*.is_renewal, *.method))]
    Refused {
        status: u16,
        /// The number of Entra's error (AADSTS…).
        code: Option<u64>,
        method: SignInMethod,
        /// An earlier sign-in of the same run worked.
        is_renewal: bool,
    },
    #[error(
        "the sign-in endpoint could not be reached: {0}; check the network, the proxy and Graph.LoginBaseUrl"
    )]
    Unreachable(&'static str),
    #[error("the sign-in endpoint's answer is not usable")]
    Unusable,
    #[error("the certificate's private key could not sign the assertion")]
    CannotSign,
    #[error("the token file {path} cannot be used: {reason}")]
    TokenFile { path: String, reason: String },
    #[error(
        "GitHub's token service gave no assertion ({0}); check that the job has 'permissions: id-token: write'"
    )]
    GitHub(String),
    #[error("the managed identity gave no token ({reason}); check that {advice}")]
    ManagedIdentity {
        reason: String,
        advice: &'static str,
    },
}

impl AuthError {
    /// Will asking again with the same configuration bring the same answer?
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, method, .. } => {
                // What is read anew for each token may be right the next time.
                let is_read_once =
                    matches!(method, SignInMethod::Secret | SignInMethod::Certificate);
                is_read_once && (400..500).contains(status) && !matches!(status, 408 | 429)
            }
            Self::CannotSign => true,
            _ => false,
        }
    }
}

fn code_suffix(code: Option<u64>) -> String {
    code.map(|code| format!(", AADSTS{code}"))
        .unwrap_or_default()
}

/// A credential that worked a while ago was probably replaced.
fn renewal(is_renewal: bool, method: SignInMethod) -> &'static str {
    match method {
        SignInMethod::Secret if is_renewal => {
            "; it worked earlier in this run, so the secret was probably replaced or removed meanwhile: it is read once, at the start, so start again with the new one"
        }
        SignInMethod::Certificate if is_renewal => {
            "; it worked earlier in this run, so the certificate was probably replaced or removed meanwhile: it is read once, at the start, so start again with the new one"
        }
        _ => "",
    }
}

/// What the codes that people meet most often mean.
fn explanation(code: Option<u64>, method: SignInMethod) -> &'static str {
    match code {
        Some(7_000_215) => {
            ": the client secret is wrong; check Graph.ClientSecret (or CADASTRE_GRAPH_CLIENT_SECRET): it must be the secret's value, not its id"
        }
        Some(7_000_222) => {
            ": the client secret has expired; add a new one to the app registration and configure it as Graph.ClientSecret (or CADASTRE_GRAPH_CLIENT_SECRET)"
        }
        Some(700_016) => {
            ": the application is not known in this tenant; check Graph.ClientId and Graph.TenantId, and that an administrator consented to it"
        }
        Some(90_002 | 900_023) => {
            ": the tenant is not known; check Graph.TenantId, and that Graph.Cloud (or Graph.LoginBaseUrl) is the tenant's cloud"
        }
        Some(500_011) => {
            ": Microsoft Graph is not known under this address in this cloud; check Graph.Cloud, Graph.BaseUrl and Graph.Resource"
        }
        Some(53_003) => {
            ": a Conditional Access policy blocks the application; exclude it or allow this machine's address"
        }
        Some(700_027) => {
            ": the certificate's signature was not accepted; check that this certificate is registered with the application and has not expired"
        }
        Some(700_024) if method == SignInMethod::Certificate => {
            ": the assertion is outside its time; check this machine's clock"
        }
        Some(700_024) => {
            ": the federated token has expired; check that whoever writes it keeps it fresh"
        }
        Some(70_021 | 700_213 | 700_212 | 700_211) => {
            ": no federated credential of the application has the token's issuer, subject and audience; compare them in the app registration"
        }
        Some(50_013 | 5_000_224) => {
            ": the assertion's signature was not accepted; check that the issuer publishes its keys"
        }
        _ => "",
    }
}
