//! Tokens that the platform hands out: the metadata service of virtual machines, or App Service and its like.
//!
//! They are asked for without a proxy, whatever the configuration and the environment say: the address is only known on
//! this machine, and the answer is a token.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

use super::{AuthError, read_small};
use crate::config::{ManagedIdentity, ManagedIdentityEndpoint, ManagedIdentityId};

const IMDS_API: &str = "2018-02-01";
const APP_SERVICE_API: &str = "2019-08-01";

/// Waits between tries, in units of the first backoff: tries at 0, 2, 6, 14 and 30 seconds.
const WAITS: [u32; 4] = [2, 4, 8, 16];
/// Further waits while the metadata service says that it is being updated, which takes up to 70 seconds.
const UPDATE_WAITS: [u32; 3] = [16, 16, 16];

/// How one try ended without a token.
struct Missed {
    error: AuthError,
    /// Is it worth another try?
    may_pass: bool,
    is_updating: bool,
}

/// The platform's answer with a token in it. `unit` is the first backoff.
pub(super) async fn fetch(
    identity: &ManagedIdentity,
    http: &reqwest::Client,
    resource: &str,
    unit: Duration,
) -> Result<Vec<u8>, AuthError> {
    let mut waits = WAITS.iter();
    let mut update_waits = UPDATE_WAITS.iter();
    loop {
        let missed = match try_once(identity, http, resource).await {
            Ok(body) => return Ok(body),
            Err(missed) => missed,
        };
        let wait = waits
            .next()
            .or_else(|| update_waits.next().filter(|_| missed.is_updating));
        match wait {
            Some(units) if missed.may_pass => tokio::time::sleep(unit * *units).await,
            _ => return Err(missed.error),
        }
    }
}

async fn try_once(
    identity: &ManagedIdentity,
    http: &reqwest::Client,
    resource: &str,
) -> Result<Vec<u8>, Missed> {
    let sent = request(identity, http, resource).send().await;
    let response = sent.map_err(|error| {
        missed(
            crate::graph::failure_class(&error).to_owned(),
            "this runs in Azure, where a managed identity can be reached",
            true,
        )
    })?;
    let status = response.status().as_u16();
    if status == 200 {
        return read_small(response).await.map_err(|error| Missed {
            error,
            may_pass: true,
            is_updating: false,
        });
    }
    let may_pass = matches!(status, 404 | 408 | 410 | 429 | 500..=599);
    let advice = match &identity.id {
        None => {
            "a system-assigned identity is switched on, or name the user-assigned one in Graph.SignIn"
        }
        Some(_) => "the user-assigned identity named in Graph.SignIn is assigned to this resource",
    };
    Err(Missed {
        is_updating: status == 410,
        ..missed(format!("HTTP {status}"), advice, may_pass)
    })
}

fn missed(reason: String, advice: &'static str, may_pass: bool) -> Missed {
    Missed {
        error: AuthError::ManagedIdentity { reason, advice },
        may_pass,
        is_updating: false,
    }
}

fn request(
    identity: &ManagedIdentity,
    http: &reqwest::Client,
    resource: &str,
) -> reqwest::RequestBuilder {
    // The platform wants the resource as its registration spells it: with a slash at the end.
    let resource = format!("{}/", resource.trim_end_matches('/'));
    let mut query = vec![("resource", resource.as_str())];
    let request = match &identity.endpoint {
        ManagedIdentityEndpoint::Imds(base) => {
            query.push(("api-version", IMDS_API));
            let mut url = base.clone();
            url.set_path("/metadata/identity/oauth2/token");
            http.get(url).header("Metadata", "true")
        }
        ManagedIdentityEndpoint::AppService { url, header } => {
            query.push(("api-version", APP_SERVICE_API));
            let mut value = HeaderValue::from_str(header.expose_secret())
                .unwrap_or(HeaderValue::from_static(""));
            value.set_sensitive(true);
            http.get(url.clone()).header("X-IDENTITY-HEADER", value)
        }
    };
    match (&identity.id, &identity.endpoint) {
        (None, _) => {}
        (Some(ManagedIdentityId::Client(id)), _) => query.push(("client_id", id)),
        // App Service has another name for it.
        (Some(ManagedIdentityId::Object(id)), ManagedIdentityEndpoint::AppService { .. }) => {
            query.push(("principal_id", id));
        }
        (Some(ManagedIdentityId::Object(id)), ManagedIdentityEndpoint::Imds(_)) => {
            query.push(("object_id", id));
        }
        (Some(ManagedIdentityId::Resource(id)), ManagedIdentityEndpoint::AppService { .. }) => {
            query.push(("mi_res_id", id));
        }
        (Some(ManagedIdentityId::Resource(id)), ManagedIdentityEndpoint::Imds(_)) => {
            query.push(("msi_res_id", id));
        }
    }
    request.query(&query)
}
