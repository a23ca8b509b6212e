//! Settings come from flags, the environment and a file, in this order, and are looked at before anything starts.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A folder with a file of settings, and a command that reads it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("settings.toml"), file).expect("a file");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn check(&self, flags: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ingest-api"))
            .env_clear()
            .envs(environment.iter().copied())
            .args(["--check-config", "--config", &self.path("settings.toml")])
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .expect("runs")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The line about a setting, but for the spaces that align it.
fn line(output: &Output, name: &str) -> String {
    let said = text(&output.stdout);
    let found = said
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .unwrap_or_else(|| panic!("{name} in {said}{}", text(&output.stderr)));
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_and_each_is_named() {
    let bench = Bench::new(
        "database-url = 'postgres://me@db/register'\nlisten = '127.0.0.1:1'\nkeep-history = 1\n\
         max-connections = 17\ningest-memory-mib = 32\n",
    );
    let output = bench.check(
        &["--listen", "127.0.0.1:3"],
        &[
            ("CADASTRE_LISTEN", "127.0.0.1:2"),
            ("CADASTRE_KEEP_HISTORY", "2"),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("database-url"),
        "in the order of --help, wherever they come from"
    );
    for wanted in [
        "listen 127.0.0.1:3 (flag)",
        "keep-history 2 (environment, CADASTRE_KEEP_HISTORY)",
        "max-connections 17 (file)",
        "keep-held-rows 30 (default)",
        "metrics-listen - (default)",
        "database-url postgres://me@db/register (file)",
    ] {
        let name = wanted.split(' ').next().expect("a name");
        assert_eq!(line(&output, name), wanted);
    }
}

#[test]
fn all_that_is_wrong_is_named_at_once_and_the_exit_code_is_2() {
    let bench = Bench::new(
        "database-url = 'postgres://me@db/register'\nlisten = 'here'\nkeep-histroy = 1\n\
         keep-history = 0\nmax-connections = [1]\n",
    );
    let output = bench.check(&[], &[("CADASTRE_DATABASE_CONNECTIONS", "1")]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for part in [
        "listen in the file",
        "keep-histroy in the file: there is no such setting",
        "keep-history in the file",
        "max-connections in the file",
        "the variable CADASTRE_DATABASE_CONNECTIONS",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    // No address at all is a wrong command line.
    assert_eq!(Bench::new("").check(&[], &[]).status.code(), Some(2));
}

#[test]
fn secrets_may_be_files_and_none_is_ever_shown() {
    let canary = format!("CANARY-{}", uuid::Uuid::new_v4());
    let bench = Bench::new("");
    let reference = format!("file:{}", bench.path("password"));
    let address = "postgres://me@db/register";
    let given: [(&str, &str); 2] = [
        ("DATABASE_URL", address),
        ("CADASTRE_DATABASE_PASSWORD", &reference),
    ];
    let missing = bench.check(&[], &given);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("database-password"));

    fs::write(bench.path("password"), format!("{canary}\n")).expect("a file");
    let read = bench.check(&[], &given);
    assert_eq!(
        line(&read, "database-password"),
        format!("database-password {reference} (environment, CADASTRE_DATABASE_PASSWORD)")
    );

    let with_password = format!("postgres://me:{canary}@db/register");
    let broken = Bench::new(&format!(
        "database-url = 'postgres://me:{canary}@db/register\n"
    ));
    let wrong_kind = Bench::new(&format!("database-url = ['{canary}']\n"));
    for output in [
        read,
        bench.check(&[], &[("DATABASE_URL", &with_password)]),
        bench.check(&["--database-url", &with_password], &[]),
        bench.check(
            &[],
            &[("DATABASE_URL", &format!("mysql://me:{canary}@db/"))],
        ),
        bench.check(
            &[],
            &[
                ("DATABASE_URL", address),
                ("CADASTRE_DATABASE_PASSWORD", &canary),
            ],
        ),
        broken.check(&[], &[]),
        wrong_kind.check(&[], &[]),
    ] {
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.is_empty() && !said.contains(&canary), "{said}");
    }
}

#[test]
fn the_settings_of_people_keys_and_addresses_have_their_place_in_the_file_too() {
    let canary = format!("CANARY-{}", uuid::Uuid::new_v4());
    let bench = Bench::new(
        "database-url = 'postgres://me@db/register'\npublic-url = 'https://cadastre.example'\n\
         sign-in-issuer = 'https://login.example'\nsign-in-client-id = 'cadastre'\nsession-idle-minutes = 5\n\
         trusted-proxies = ['10.0.0.0/8', '192.0.2.1']\nrefused-keys-per-minute = 7\n",
    );
    fs::write(bench.path("client-secret"), format!("{canary}\n")).expect("a file");
    let reference = format!("file:{}", bench.path("client-secret"));
    let key = format!("k1:AAAABBBB{}E=", "C".repeat(34));
    let output = bench.check(
        &["--sign-in-scopes", "email,groups"],
        &[
            ("CADASTRE_KEYS", &key),
            ("CADASTRE_SIGN_IN_CLIENT_SECRET", &reference),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for wanted in [
        "public-url https://cadastre.example (file)",
        "sign-in-issuer https://login.example (file)",
        "sign-in-scopes email,groups (flag)",
        "session-idle-minutes 5 (file)",
        "trusted-proxies 10.0.0.0/8,192.0.2.1 (file)",
        "refused-keys-per-minute 7 (file)",
        "keys *** (environment, CADASTRE_KEYS)",
        &format!("sign-in-client-secret {reference} (environment, CADASTRE_SIGN_IN_CLIENT_SECRET)"),
    ] {
        let name = wanted.split(' ').next().expect("a name");
        assert_eq!(line(&output, name), wanted);
    }
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(
        !said.contains(&canary) && !said.contains("AAAABBBB"),
        "{said}"
    );
}

#[test]
fn settings_that_do_not_fit_together_are_all_named_and_no_secret_is_a_flag() {
    let canary = format!("CANARY-{}", uuid::Uuid::new_v4());
    let bench = Bench::new(&format!(
        "database-url = 'postgres://me@db/register'\npublic-url = 'http://cadastre.example'\n\
         sign-in-issuer = 'https://login.example'\nsign-in-claim = 'email'\n\
         sign-in-microsoft-tenant = '00000000-0000-0000-0000-000000000007'\nkeys = '{canary}'\n",
    ));
    let output = bench.check(&["--sign-in-client-secret", &canary], &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for part in [
        "sign-in-client-secret is no flag",
        "--public-url must be https",
        "--sign-in-issuer and --sign-in-microsoft-tenant exclude each other",
        "--sign-in-client-id is missing",
        "--sign-in-claim, --sign-in-column and --sign-in-system go together",
        "CADASTRE_KEYS",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.lines().count(), 6, "{said}");
    assert!(!said.contains(&canary), "{said}");
    for wrong in [
        "trusted-proxies = [1]",
        "sign-in-scopes = []",
        "trusted-proxies = 'here'",
    ] {
        let bench = Bench::new(&format!("database-url = 'postgres://me@db/r'\n{wrong}\n"));
        let output = bench.check(&[], &[]);
        let (name, _) = wrong.split_once(' ').expect("a name");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{name} in the file")), "{said}");
    }
}
