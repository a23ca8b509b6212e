//! What is shipped to run Cadastre keeps its promises: no password in it, one port open, nobody is root.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use yaml_rust2::{Yaml, YamlLoader};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose(path: &str) -> Yaml {
    documents(path).remove(0)
}

fn entries(yaml: &Yaml) -> Vec<(String, &Yaml)> {
    let entries = yaml.as_hash().expect("a mapping").iter();
    entries
        .map(|(name, value)| (name.as_str().expect("a name").to_owned(), value))
        .collect()
}

fn texts(yaml: &Yaml) -> Vec<&str> {
    let items = yaml.as_vec().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Yaml::as_str).collect()
}

const COMPOSES: [&str; 2] = ["docker-compose.yml", "docker-compose.worker.yml"];
const DOCKERFILES: [&str; 2] = ["Dockerfile", "Dockerfile.worker"];

#[test]
fn no_service_is_root_or_may_become_it_and_each_says_whether_it_is_well() {
    for path in COMPOSES {
        let compose = compose(path);
        for (name, service) in entries(&compose["services"]) {
            let place = format!("{name} in {path}");
            let user = service["user"].as_str().expect(&place);
            assert!(!user.starts_with('0') && user != "root", "{place}");
            assert_eq!(service["read_only"].as_bool(), Some(true), "{place}");
            assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{place}");
            assert_eq!(
                texts(&service["security_opt"]),
                ["no-new-privileges:true"],
                "{place}"
            );
            let test = texts(&service["healthcheck"]["test"]);
            assert!(test.len() > 1 && test[0] == "CMD", "{place}");
            assert!(service["privileged"].is_badvalue() && service["network_mode"].is_badvalue());
        }
    }
}

#[test]
fn only_the_port_of_the_web_is_published_and_to_this_machine_unless_said_otherwise() {
    let mut published = Vec::new();
    for path in COMPOSES {
        let compose = compose(path);
        for (name, service) in entries(&compose["services"]) {
            published.extend(
                texts(&service["ports"])
                    .into_iter()
                    .map(|port| (name.clone(), port.to_owned())),
            );
        }
    }
    let web = (
        "ingest-api".to_owned(),
        "${CADASTRE_PUBLISH:-127.0.0.1:8080}:8080".to_owned(),
    );
    assert_eq!(published, [web]);
}

#[test]
fn the_worker_cannot_reach_the_database_and_data_is_in_a_named_volume() {
    let compose = compose("docker-compose.yml");
    let services = &compose["services"];
    let networks = |name: &str| {
        texts(&services[name]["networks"])
            .into_iter()
            .collect::<BTreeSet<_>>()
    };
    assert!(networks("worker").is_disjoint(&networks("postgres")));
    assert!(!networks("ingest-api").is_disjoint(&networks("postgres")));
    assert_eq!(
        texts(&services["postgres"]["volumes"]),
        ["register:/var/lib/postgresql/data"]
    );
    assert!(!compose["volumes"]["register"].is_badvalue());
}

/// A value that may stand under the name of a secret: nothing, or a reference to something that is not in the file.
fn is_reference(value: &str) -> bool {
    value.starts_with("${")
        && value.ends_with('}')
        && !value.contains(":-")
        && !value.contains(":=")
        || value.ends_with(":-}") && value.starts_with("${")
        || value.starts_with("file:")
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "SECRET", "API_KEY", "KEYS", "TOKEN"]
        .iter()
        .any(|part| name.contains(part))
}

#[test]
fn no_password_is_in_what_is_shipped_and_without_one_nothing_starts() {
    for path in COMPOSES {
        let compose = compose(path);
        for (_, service) in entries(&compose["services"]) {
            for (name, value) in entries(&service["environment"]) {
                // Without a value it is handed on from .env, if that has it.
                if value.is_null() {
                    continue;
                }
                let value = value.as_str().unwrap_or_default();
                if names_a_secret(&name) {
                    assert!(is_reference(value), "{name} in {path}");
                }
                assert!(!value.contains("://cadastre:"), "{name} in {path}");
            }
        }
    }
    let compose = compose("docker-compose.yml");
    for (service, name, from) in [
        ("postgres", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD"),
        (
            "ingest-api",
            "CADASTRE_DATABASE_PASSWORD",
            "POSTGRES_PASSWORD",
        ),
        ("ingest-api", "CADASTRE_KEYS", "CADASTRE_KEYS"),
    ] {
        let value = compose["services"][service]["environment"][name]
            .as_str()
            .expect(name);
        let wanted = format!("${{{from}:?set {from} in .env");
        assert!(value.starts_with(&wanted), "{value}");
    }
    for line in read(".env.example")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        if let Some((name, value)) = line.split_once('=') {
            assert!(!names_a_secret(name) || value.is_empty(), "{name}");
        }
    }
    for path in ["cadastre-server", "cadastre-worker"] {
        let unit = read(&format!("deploy/systemd/{path}.service"));
        for value in unit
            .lines()
            .filter_map(|line| line.strip_prefix("Environment="))
        {
            let (name, value) = value.split_once('=').expect("name=value");
            assert!(
                !names_a_secret(name) || is_reference(value),
                "{name} in {path}"
            );
        }
    }
}

#[test]
fn every_variable_of_the_composes_is_in_the_example() {
    let example = read(".env.example");
    let known: BTreeSet<&str> = example
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.trim_start_matches('#')))
        .collect();
    for path in COMPOSES {
        for (_, service) in entries(&compose(path)["services"]) {
            for (name, value) in entries(&service["environment"]) {
                assert!(
                    !value.is_null() || known.contains(&*name),
                    "{name} of {path}"
                );
            }
        }
        let text = read(path);
        let used = text
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split([':', '}']).next());
        for name in used {
            assert!(known.contains(name), "{name} of {path}");
        }
    }
}

#[test]
fn images_are_built_from_the_lock_file_and_run_as_a_numbered_user_who_is_not_root() {
    for path in DOCKERFILES {
        let text = read(path);
        let last = text.rsplit("\nFROM ").next().expect("a stage");
        assert!(
            last.contains("\nUSER 10001:10001\n") && last.contains("\nHEALTHCHECK "),
            "{path}"
        );
        assert!(text.contains("cargo build --locked"), "{path}");
        for line in text.lines() {
            if let Some(image) = line.strip_prefix("FROM ") {
                let image = image.split(' ').next().expect("an image");
                assert!(
                    image.contains(':') && !image.ends_with(":latest"),
                    "{path}: {image}"
                );
            }
            // What hadolint would say: DL3004, DL3020, DL4000, DL3027; a shell form where signals would get lost.
            for word in [
                "sudo",
                "ADD ",
                "MAINTAINER",
                "apt install",
                "curl ",
                "CMD ingest",
                "ENTRYPOINT sh",
            ] {
                assert!(!line.contains(word), "{path}: {line}");
            }
        }
        // DL3009, DL3015, DL3014.
        for part in [
            "--no-install-recommends",
            "install --yes",
            "rm -rf /var/lib/apt/lists/*",
        ] {
            assert_eq!(text.matches(part).count(), 2, "{path}: {part}");
        }
    }
    let toolchain = read("rust-toolchain.toml");
    for path in DOCKERFILES {
        let text = read(path);
        let version = text
            .split("RUSTUP_TOOLCHAIN=")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let version = version.expect("a version");
        assert!(
            toolchain.contains(&format!("\"{version}\"")),
            "{path}: {version}"
        );
        assert!(
            text.contains(&format!("FROM rust:{version}-slim")),
            "{path}"
        );
    }
}

/// The pod of a document, if it is about pods.
fn pod(document: &Yaml) -> Option<&Yaml> {
    let pod = &document["spec"]["template"]["spec"];
    (!pod.is_badvalue()).then_some(pod)
}

#[test]
fn pods_are_not_root_write_nowhere_and_hold_no_secret() {
    let mut kinds = Vec::new();
    for path in ["migrate", "server", "worker"].map(|name| format!("deploy/kubernetes/{name}.yaml"))
    {
        for document in documents(&path) {
            let kind = document["kind"].as_str().expect("a kind").to_owned();
            assert_ne!(kind, "Secret", "{path}");
            let Some(pod) = pod(&document) else { continue };
            assert_eq!(
                pod["securityContext"]["runAsNonRoot"].as_bool(),
                Some(true),
                "{path}"
            );
            assert_eq!(
                pod["automountServiceAccountToken"].as_bool(),
                Some(false),
                "{path}"
            );
            for container in pod["containers"].as_vec().expect("containers") {
                let may = &container["securityContext"];
                assert_eq!(
                    may["readOnlyRootFilesystem"].as_bool(),
                    Some(true),
                    "{path}"
                );
                assert_eq!(
                    may["allowPrivilegeEscalation"].as_bool(),
                    Some(false),
                    "{path}"
                );
                assert_eq!(texts(&may["capabilities"]["drop"]), ["ALL"], "{path}");
                for variable in container["env"].as_vec().expect("variables") {
                    let name = variable["name"].as_str().expect("a name");
                    assert!(
                        !names_a_secret(name) && name != "DATABASE_URL"
                            || variable["value"].is_badvalue(),
                        "{name}"
                    );
                }
                if kind == "Deployment" {
                    assert!(!container["livenessProbe"].is_badvalue(), "{path}");
                }
            }
            kinds.push((kind, document["spec"]["replicas"].as_i64()));
        }
    }
    let wanted = [
        ("Job", None),
        ("Deployment", Some(2)),
        ("Deployment", Some(2)),
    ];
    assert_eq!(
        kinds,
        wanted.map(|(kind, replicas)| (kind.to_owned(), replicas))
    );
}

#[test]
fn units_run_as_users_of_their_own_with_nothing_to_write() {
    for path in ["cadastre-server", "cadastre-worker"] {
        let unit = read(&format!("deploy/systemd/{path}.service"));
        for line in [
            "DynamicUser=yes",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "CapabilityBoundingSet=",
            "LimitCORE=0",
            "Restart=always",
        ] {
            assert!(unit.lines().any(|one| one == line), "{line} in {path}");
        }
    }
}
