//! What can be known to be wrong with settings without asking the source.

use contract::{
    RecordError,
    crawler::{CrawlerSettings, EntraSignIn, SecretField},
};
use serde_json::Value;
use url::{Host, Url};

use super::{fault::fault, filter};

/// Everything that is impossible in settings, beyond what their schema says.
pub fn faults(settings: &CrawlerSettings) -> Vec<RecordError> {
    let mut faults = Vec::new();
    addresses(settings, &mut faults);
    for (name, text) in [
        ("fullReadEvery", &settings.full_read_every),
        ("untoldReadEvery", &settings.untold_read_every),
    ] {
        if text.as_deref().is_some_and(|text| !is_span(text)) {
            faults.push(fault(
                format!("/settings/{name}"),
                "a time span is a number and m, h or d, such as 7d, and not longer than 10 years",
            ));
        }
    }
    let sign_in = &settings.graph.sign_in;
    let ids = [
        &sign_in.managed_identity_client_id,
        &sign_in.managed_identity_object_id,
        &sign_in.managed_identity_resource_id,
    ];
    if ids.into_iter().flatten().count() > 1 {
        faults.push(fault(
            "/settings/graph/signIn",
            "a managed identity is named in several ways: keep one of them",
        ));
    }
    if let Some((place, detail)) = settings.identity_filter.as_ref().and_then(filter::wrong) {
        faults.push(fault(format!("/settings/identityFilter{place}"), detail));
    }
    match serde_json::to_value(settings) {
        Ok(value) => control_characters(&value, "/settings", &mut faults),
        Err(_) => faults.push(fault("/settings", "the settings cannot be kept")),
    }
    faults
}

/// What an enabled crawler still lacks, or has too much of to know what is meant. `has` tells which secrets are set.
pub fn missing(
    settings: &CrawlerSettings,
    has: impl Fn(SecretField) -> bool,
) -> Option<RecordError> {
    let graph = &settings.graph;
    let method = match method(settings, &has) {
        Ok(method) => method,
        Err(fault) => return Some(fault),
    };
    // The platform of a workload identity says who it is; a managed identity's tokens do.
    let from_platform = method == EntraSignIn::Federated;
    if graph.tenant_id.is_none() && !from_platform {
        return Some(fault("/settings/graph/tenantId", "the tenant is missing"));
    }
    let names_itself = method == EntraSignIn::ManagedIdentity;
    if graph.client_id.is_none() && !from_platform && !names_itself {
        return Some(fault(
            "/settings/graph/clientId",
            "the application (client) id is missing",
        ));
    }
    let has_file = graph.sign_in.certificate_file.is_some();
    match method {
        EntraSignIn::Secret if !has(SecretField::ClientSecret) => Some(fault(
            "/secrets/clientSecret",
            "the client secret is missing",
        )),
        EntraSignIn::Certificate if !has_file && !has(SecretField::Certificate) => Some(fault(
            "/secrets/certificate",
            "the certificate is missing: here, or as settings.graph.signIn.certificateFile",
        )),
        EntraSignIn::Certificate if has_file && has(SecretField::Certificate) => Some(fault(
            "/secrets/certificate",
            "the certificate is given here and as a file: keep one of them",
        )),
        _ => None,
    }
}

fn method(
    settings: &CrawlerSettings,
    has: impl Fn(SecretField) -> bool,
) -> Result<EntraSignIn, RecordError> {
    let sign_in = &settings.graph.sign_in;
    if let Some(method) = sign_in.method {
        return Ok(method);
    }
    let names_identity = sign_in.managed_identity_client_id.is_some()
        || sign_in.managed_identity_object_id.is_some()
        || sign_in.managed_identity_resource_id.is_some();
    let meant: Vec<EntraSignIn> = [
        (has(SecretField::ClientSecret), EntraSignIn::Secret),
        (
            sign_in.certificate_file.is_some() || has(SecretField::Certificate),
            EntraSignIn::Certificate,
        ),
        (
            sign_in.federated_token_file.is_some(),
            EntraSignIn::Federated,
        ),
        (names_identity, EntraSignIn::ManagedIdentity),
    ]
    .into_iter()
    .filter_map(|(is_set, method)| is_set.then_some(method))
    .collect();
    match meant.as_slice() {
        [method] => Ok(*method),
        [] => Err(fault(
            "/settings/graph/signIn/method",
            "no way of signing in is configured: set secrets.clientSecret, or name another method",
        )),
        _ => Err(fault(
            "/settings/graph/signIn/method",
            "several ways of signing in are configured: name one",
        )),
    }
}

/// Where tokens and secrets go. Who changes it could have stored secrets sent elsewhere, so they are asked for again.
pub fn destination(settings: &CrawlerSettings) -> impl PartialEq {
    let graph = &settings.graph;
    (
        graph.cloud,
        graph.base_url.clone(),
        graph.login_base_url.clone(),
        graph.resource.clone(),
        graph.allow_insecure_http,
        graph.sign_in.imds_base_url.clone(),
        settings.network.ca_file.clone(),
    )
}

fn addresses(settings: &CrawlerSettings, faults: &mut Vec<RecordError>) {
    let graph = &settings.graph;
    let is_open = graph.allow_insecure_http;
    for (name, address, is_open) in [
        ("baseUrl", &graph.base_url, is_open),
        ("loginBaseUrl", &graph.login_base_url, is_open),
        // Not called: it is what tokens are asked for.
        ("resource", &graph.resource, true),
        // A machine's own metadata service, which has no https.
        ("signIn/imdsBaseUrl", &graph.sign_in.imds_base_url, true),
    ] {
        let wrong = address
            .as_deref()
            .and_then(|text| address_fault(text, is_open));
        faults.extend(wrong.map(|detail| fault(format!("/settings/graph/{name}"), detail)));
    }
}

fn address_fault(text: &str, allow_insecure_http: bool) -> Option<&'static str> {
    let Ok(address) = Url::parse(text) else {
        return Some("this is no address, such as https://graph.microsoft.com");
    };
    if !address.username().is_empty() || address.password().is_some() {
        return Some("an address holds no user name or password");
    }
    if address.query().is_some() || address.fragment().is_some() {
        return Some("an address holds no query");
    }
    let stays_here = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Some("an address names a host"),
    };
    match address.scheme() {
        "https" => None,
        "http" if stays_here || allow_insecure_http => None,
        "http" => Some("the address must start with https:// (or set graph.allowInsecureHttp)"),
        _ => Some("the address must start with https://"),
    }
}

fn is_span(text: &str) -> bool {
    let mut letters = text.chars();
    let seconds = match letters.next_back() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return false,
    };
    let number = letters.as_str().parse::<u32>();
    number.is_ok_and(|number| u64::from(number) * seconds <= 3_653 * 86_400)
}

/// Texts that a database or a log would stumble over.
fn control_characters(value: &Value, place: &str, faults: &mut Vec<RecordError>) {
    match value {
        Value::String(text) if text.contains(char::is_control) => {
            faults.push(fault(place, "the text holds control characters"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                control_characters(item, &format!("{place}/{index}"), faults);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name.contains(char::is_control) {
                    faults.push(fault(place, "the name of a field holds control characters"));
                }
                control_characters(inner, &format!("{place}/{name}"), faults);
            }
        }
        _ => {}
    }
}
