use graph_sim::sample;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::*;

const CLIENT: &str = "2d7e5f90-c1a4-48b3-9e6d-0f8b3c5a7142";

fn register() -> RegisterConfig {
    RegisterConfig {
        base_url: "https://cadastre.example".parse().expect("url"),
        api_key: "fgc_CANARY".to_owned().into(),
    }
}

fn leased(settings: &Value, secrets: &Value) -> LeasedCrawler {
    serde_json::from_value(json!({
        "crawlerId": Uuid::nil(), "kind": "entra", "name": "Contoso", "version": 1,
        "settings": settings, "secrets": secrets,
    }))
    .expect("a lease")
}

/// The keys of the configuration file in place of those of the settings.
fn pascal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, inner)| {
                let (first, rest) = name.split_at(1);
                let is_filter = name == "identityFilter";
                let inner = if is_filter {
                    inner.clone()
                } else {
                    pascal(inner)
                };
                (first.to_uppercase() + rest, inner)
            })
            .collect(),
        other => other.clone(),
    }
}

/// Settings in which nothing has its default, with the files of a folder.
fn everything(folder: &Path) -> Value {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.canonicalize().expect("a path")
    };
    let roots = file("roots.pem", sample::CERTIFICATE);
    let token = file("token", "a token");
    json!({
        "graph": {"tenantId": "contoso.example", "clientId": CLIENT, "cloud": "china",
            "baseUrl": "https://gate.example/g", "loginBaseUrl": "http://gate.example/l",
            "resource": "https://resource.example", "allowInsecureHttp": true,
            "signIn": {"method": "secret", "federatedTokenFile": token, "federatedAudience": "api://x",
                "managedIdentityClientId": "i", "imdsBaseUrl": "http://gate.example"}},
        "network": {"caFile": roots},
        "sync": {"principals": false, "servicePrincipals": true, "resources": false, "assignments": false,
            "governance": false, "contexts": false, "pim": true, "signIns": false, "refreshViews": false},
        "mode": "delta", "fullReadEvery": "3d", "untoldReadEvery": "90m",
        "customUserAttributes": ["badge"], "customGroupAttributes": ["owner"], "requestWindowDays": 17,
        "identityFilter": {"property": "employeeId", "operator": "isNotNull"}, "identityKey": "employeeId",
    })
}

fn policy(folder: &Path) -> LeasePolicy {
    LeasePolicy {
        folders: vec![folder.to_owned()],
        variable_prefix: "CADASTRE_SECRET_".to_owned(),
        hosts: vec!["gate.example".to_owned()],
    }
}

#[test]
fn a_leased_crawler_says_the_same_as_the_configuration_file_with_every_field_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = everything(folder.path());
    let secrets = json!({"clientSecret": {"value": "CANARY"}, "proxy": {"value": "http://u:CANARY@proxy:1"},
        "certificatePassword": {"value": "CANARY"}});
    let config = policy(folder.path())
        .config(
            leased(&settings, &secrets),
            register(),
            None,
            Some(Uuid::nil()),
        )
        .expect("usable");
    let mut file = pascal(&settings);
    file["Graph"]["ClientSecret"] = json!("CANARY");
    file["Graph"]["SignIn"]["CertificatePassword"] = json!("CANARY");
    file["Network"]["Proxy"] = json!("http://u:CANARY@proxy:1");
    let over = Overrides {
        api_base_url: Some(register().base_url),
        api_key: Some(register().api_key),
        run_id: Some(Uuid::nil()),
        ..Overrides::default()
    };
    let expected = ConfigFile::parse(&file.to_string())
        .and_then(|file| file.resolve(over))
        .expect("usable");
    assert_eq!(format!("{config:#?}"), format!("{expected:#?}"));
    assert!(!format!("{config:?}").contains("CANARY"));
    let Credential::Secret(secret) = config.graph.credential else {
        panic!("{:?}", config.graph.credential)
    };
    assert_eq!(secret.expose_secret(), "CANARY");
    // Nothing of it is a default, so that a field that were lost would show.
    let bare = json!({"graph": {"tenantId": "t", "clientId": CLIENT}});
    let bare = LeasePolicy::default()
        .config(
            leased(&bare, &json!({"clientSecret": {"value": "s"}})),
            register(),
            Some(Mode::Full),
            None,
        )
        .expect("usable");
    assert_eq!(bare.mode, Mode::Full);
    assert_ne!(bare.selection, config.selection);
    assert_ne!(bare.full_read_every, config.full_read_every);
    assert_ne!(bare.untold_read_every, config.untold_read_every);
    assert_ne!(bare.identity_key, config.identity_key);
}

#[test]
fn a_stored_certificate_signs_in_without_a_file() {
    let settings = json!({"graph": {"tenantId": "t", "clientId": CLIENT}});
    let pem = format!("{}\n{}", sample::CERTIFICATE, sample::KEY);
    let secrets = json!({"certificate": {"value": pem}});
    let config = LeasePolicy::default()
        .config(leased(&settings, &secrets), register(), None, None)
        .expect("usable");
    assert_eq!(config.graph.credential.method(), SignInMethod::Certificate);
}

#[test]
fn references_open_what_the_worker_allows_and_nothing_else_of_its_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let policy = policy(folder.path());
    std::fs::write(folder.path().join("good"), "from file\n").expect("written");
    std::fs::write(folder.path().join("empty"), "\n").expect("written");
    std::fs::write(elsewhere.path().join("private"), "CANARY").expect("written");
    std::os::unix::fs::symlink(elsewhere.path().join("private"), folder.path().join("link"))
        .expect("a link");
    let settings = json!({"graph": {"tenantId": "t", "clientId": CLIENT}});
    let read = |reference: String| {
        let secrets = json!({"clientSecret": {"reference": reference}});
        policy.config(leased(&settings, &secrets), register(), None, None)
    };
    let inside = |name: &str| format!("file:{}", folder.path().join(name).display());
    let config = read(inside("good")).expect("usable");
    assert!(matches!(
        config.graph.credential,
        Credential::Secret(secret) if secret.expose_secret() == "from file"
    ));
    for reference in [
        inside("absent"),
        inside("empty"),
        inside("link"),
        format!("file:{}", elsewhere.path().join("private").display()),
        format!("{}/../{}/private", inside(""), elsewhere.path().display()),
        "file:/etc/passwd".to_owned(),
        "env:PATH".to_owned(),
        "env:CADASTRE_API_KEY".to_owned(),
        "env:CADASTRE_SECRET_THAT_NOBODY_SET".to_owned(),
        "CANARY".to_owned(),
    ] {
        let error = read(reference.clone()).expect_err(&reference).to_string();
        assert!(error.contains("clientSecret"), "{error}");
        assert!(!error.contains("CANARY"), "{error}");
    }
    for (name, value) in [
        ("certificateFile", "/etc/passwd"),
        ("federatedTokenFile", "/etc/hostname"),
    ] {
        let mut settings = settings.clone();
        settings["graph"]["signIn"][name] = json!(value);
        let refused = policy.config(leased(&settings, &json!({})), register(), None, None);
        assert!(refused.expect_err(name).to_string().contains(name));
    }
}

#[test]
fn tokens_and_secrets_go_to_hosts_of_the_known_clouds_and_to_those_that_the_worker_allows() {
    let secrets = json!({"clientSecret": {"value": "CANARY"}});
    let config = |graph: &Value| {
        let mut settings = json!({"graph": {"tenantId": "t", "clientId": CLIENT}});
        for (name, value) in graph.as_object().expect("an object") {
            settings["graph"][name] = value.clone();
        }
        let policy = LeasePolicy {
            hosts: vec!["gate.example".to_owned()],
            ..LeasePolicy::default()
        };
        policy.config(leased(&settings, &secrets), register(), None, None)
    };
    for good in [
        json!({"cloud": "usgov"}),
        json!({"loginBaseUrl": "https://login.microsoftonline.us"}),
        json!({"baseUrl": "https://gate.example"}),
    ] {
        config(&good).expect("allowed");
    }
    for bad in [
        json!({"loginBaseUrl": "https://elsewhere.example"}),
        json!({"baseUrl": "https://graph.microsoft.com.elsewhere.example"}),
        json!({"baseUrl": "http://127.0.0.1:9"}),
        json!({"baseUrl": "http://169.254.169.254", "allowInsecureHttp": true}),
    ] {
        let error = config(&bad).expect_err("not allowed").to_string();
        assert!(error.contains("does not let crawlers call"), "{error}");
    }
}
