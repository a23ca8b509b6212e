//! The program as people meet it: `cadastre demo`, then keys, a server, questions, and a clean stop.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use graph_sim::{Tenant, TenantSpec};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A folder for data. Root's PostgreSQL runs as another user, who must get through to it.
fn data_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(folder.path(), open).expect("our own folder");
    folder
}

/// The program, without what the developer's shell says about databases and servers.
fn cadastre(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cadastre"));
    for name in [
        "DATABASE_URL",
        "CADASTRE_DATA_FOLDER",
        "CADASTRE_LISTEN",
        "CADASTRE_API_BASE_URL",
        "CADASTRE_API_KEY",
        "CADASTRE_LOG_LEVEL",
    ] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end; its output when it ends with this code.
async fn run(command: &mut Command, code: i32) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.expect("the program runs");
    let text = String::from_utf8(stdout).expect("text");
    let complaints = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "{text}\n{complaints}");
    text
}

/// Runs a command that needs the database.
async fn with_folder(folder: &Path, arguments: &[&str], code: i32) -> String {
    run(cadastre(arguments).arg("--data-folder").arg(folder), code).await
}

async fn demo(folder: &Path) -> String {
    let arguments = [
        "demo",
        "--once",
        "--users",
        "150",
        "--groups",
        "40",
        "--service-principals",
        "30",
        "--listen",
        "127.0.0.1:0",
    ];
    with_folder(folder, &arguments, 0).await
}

/// A column of the run report, summed.
fn sum(report: &str, heading: &str) -> u64 {
    sum_of(report, heading, |_| true)
}

/// The same, of some collections.
fn sum_of(report: &str, heading: &str, is_meant: impl Fn(&str) -> bool) -> u64 {
    let mut lines = report
        .lines()
        .skip_while(|line| !line.starts_with("collection "));
    let headings = lines.next().expect("the report has a head");
    let end = headings.find(heading).expect("the column") + heading.len();
    let rows = lines.take_while(|line| !line.is_empty());
    let rows = rows.filter(|line| is_meant(line));
    // Numbers stand flush right under their heading.
    let cell = |line: &str| {
        line.get(..end)?
            .split_whitespace()
            .last()?
            .parse::<u64>()
            .ok()
    };
    rows.filter_map(cell).sum()
}

/// The rows of a table of the register, from the demo's totals.
fn total(text: &str, of: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{of}  ")));
    let number = line.and_then(|line| line.split_whitespace().last());
    let digits = number.expect("the total").replace(',', "");
    digits.parse().expect("a number")
}

/// Name and role of the privileged principals.
fn privileged(text: &str) -> Vec<(String, String)> {
    let between = |line: &str, start: &str, end: &str| {
        let (_, rest) = line.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    let principal = |part: &str| {
        let name = between(part, " ", " (").expect("a name");
        let role = part.lines().find_map(|line| between(line, "holds ", " ("));
        (name, role.expect("a role"))
    };
    text.split("\n#").skip(1).map(principal).collect()
}

/// One of them whom a name alone can mean: people may bear the same, also in the demo's tenant.
fn privileged_without_namesake(text: &str) -> (String, String) {
    let tenant = Tenant::generate(&TenantSpec::new(1, 150, 40, 30));
    let bearers = |name: &str| {
        let users = tenant.users.values();
        users.filter(|user| user.display_name == name).count()
    };
    let mut principals = privileged(text).into_iter();
    let found = principals.find(|(name, _)| bearers(name) == 1);
    found.expect("one of the three")
}

/// The register under `cadastre up`.
struct Up {
    process: Child,
    printed: Lines<BufReader<ChildStdout>>,
    base_url: String,
}

impl Up {
    async fn start(folder: &Path) -> Self {
        let mut command = cadastre(&["up", "--listen", "127.0.0.1:0"]);
        command.arg("--data-folder").arg(folder);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program runs");
        let stdout = process.stdout.take().expect("a pipe");
        let mut printed = BufReader::new(stdout).lines();
        while let Some(line) = printed.next_line().await.expect("text") {
            if let Some(address) = line.strip_prefix("Register ") {
                let base_url = address.trim().to_owned();
                return Self {
                    process,
                    printed,
                    base_url,
                };
            }
        }
        let mut complaints = String::new();
        if let Some(mut stderr) = process.stderr.take() {
            let _ = stderr.read_to_string(&mut complaints).await;
        }
        panic!("it did not come up: {complaints}");
    }

    /// Asks it to stop as a service manager does; it must end by itself and without complaint.
    async fn stop(mut self) {
        let id = self.process.id().expect("it runs");
        kill(Pid::from_raw(id.cast_signed()), Signal::SIGTERM).expect("our own process");
        let ended = tokio::time::timeout(Duration::from_secs(60), self.process.wait()).await;
        let status = ended.expect("it ends in a minute").expect("a status");
        assert!(status.success(), "{status}");
        while let Some(line) = self.printed.next_line().await.expect("text") {
            if line.starts_with("Stopping") {
                return;
            }
        }
        panic!("it did not say that it stops");
    }

    fn ask(&self, key: &str, arguments: &[&str]) -> Command {
        let mut command = cadastre(arguments);
        command
            .env("CADASTRE_API_BASE_URL", &self.base_url)
            .env("CADASTRE_API_KEY", key);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_what_it_found_and_the_register_lives_on_with_it() {
    let folder = data_folder();
    let folder = folder.path();

    let first = demo(folder).await;
    assert_shows_everything(&first);
    // Several time windows of one assignment are one row.
    let new = sum(&first, "new");
    assert!(new > 0 && new <= sum(&first, "read"), "{first}");
    let kept = [
        "principals",
        "resources",
        "resource assignments",
        "contexts",
        "context members",
        "sign-ins",
    ];
    let rows: u64 = kept.map(|name| total(&first, name)).iter().sum();
    assert!(rows > 0 && rows <= new, "{rows} of {new} in {first}");

    let second = demo(folder).await;
    for (heading, expected) in [("new", 0), ("changed", 0), ("removed", 0), ("same", new)] {
        assert_eq!(sum(&second, heading), expected, "{heading} in {second}");
    }

    let (name, role) = privileged_without_namesake(&first);
    let key = keys_are_made_and_listed(folder).await;
    let up = Up::start(folder).await;
    let who = run(&mut up.ask(&key, &["who", &role]), 0).await;
    assert!(who.contains(&role) && who.contains(&name), "{who}");
    let why = run(&mut up.ask(&key, &["why", &name, &role]), 0).await;
    assert!(
        why.contains(&format!("{name} has access to {role}")),
        "{why}"
    );
    let before = ["--as-of", "2000-01-01T00:00:00Z"];
    let nobody = run(&mut up.ask(&key, &["who", &role, before[0], before[1]]), 0).await;
    assert!(
        nobody.contains("0 rows") && !nobody.contains(&name),
        "{nobody}"
    );
    let no_way = run(
        &mut up.ask(&key, &["why", &name, &role, before[0], before[1]]),
        0,
    )
    .await;
    assert!(!no_way.contains("└─"), "{no_way}");
    run(&mut up.ask(&key, &["who", &role, "--as-of", "soon"]), 1).await;
    // Keys can be made and revoked while the register is up, and a revoked one no longer opens anything.
    let other = with_folder(
        folder,
        &["keys", "create", "--name", "b", "--permission", "read"],
        0,
    )
    .await;
    run(&mut up.ask(other.trim(), &["who", &role]), 0).await;
    let rotate = ["keys", "rotate", other.trim(), "--grace-hours", "0"];
    let heir = with_folder(folder, &rotate, 0).await;
    run(&mut up.ask(heir.trim(), &["who", &role]), 0).await;
    run(&mut up.ask(other.trim(), &["who", &role]), 1).await;
    let revoke = ["keys", "revoke", other.trim(), "--descendants"];
    with_folder(folder, &revoke, 0).await;
    run(&mut up.ask(heir.trim(), &["who", &role]), 1).await;
    up.stop().await;

    let again = Up::start(folder).await;
    let still = run(&mut again.ask(&key, &["who", &role]), 0).await;
    assert_eq!(still, who, "the data is there at the next start");
    again.stop().await;

    with_folder(folder, &["keys", "revoke", &key], 0).await;
    let listed = with_folder(folder, &["keys", "list"], 0).await;
    let line = listed.lines().find(|line| line.contains("analyst's key"));
    assert!(
        line.is_some_and(|line| line.contains("revoked")),
        "{listed}"
    );
}

/// Address, run report, totals, and three privileged principals, each with the path that makes it so.
fn assert_shows_everything(text: &str) {
    for part in [
        "Register   http://127.0.0.1:",
        "The register holds:",
        "effective access",
        "Complete: everything that was asked for was read",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for collection in ["users", "agents", "group members", "group eligibility"] {
        let mut lines = text.lines();
        let is_whole = |line: &str| line.starts_with(collection) && line.contains(" complete ");
        assert!(lines.any(is_whole), "{collection} in {text}");
    }
    let principals: Vec<&str> = text.split("\n#").skip(1).collect();
    assert_eq!(principals.len(), 3, "{text}");
    for principal in principals {
        assert!(principal.contains("score "), "{principal}");
        assert!(principal.contains("└─ "), "a path in {principal}");
        assert!(
            principal.contains("(EntraDirectoryRole"),
            "a role in {principal}"
        );
    }
}

async fn keys_are_made_and_listed(folder: &Path) -> String {
    let create = [
        "keys",
        "create",
        "--name",
        "analyst's key",
        "--permission",
        "read",
    ];
    let key = with_folder(folder, &create, 0).await.trim().to_owned();
    assert!(
        key.starts_with("fgc_"),
        "a key alone goes to standard output"
    );
    let listed = with_folder(folder, &["keys", "list"], 0).await;
    let line = listed.lines().find(|line| line.contains("analyst's key"));
    assert!(line.is_some_and(|line| line.contains("works")), "{listed}");
    let secret = key.rsplit('_').next().expect("a secret part");
    assert!(!listed.contains(secret), "the list shows no secret");
    key
}
