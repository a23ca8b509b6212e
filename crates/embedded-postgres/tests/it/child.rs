//! Processes that own a server, so that a test can end them in any way: this test binary, started again.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use embedded_postgres::{Server, Settings, testing};

const ROLE: &str = "EMBEDDED_POSTGRES_TEST_ROLE";
const FOLDER: &str = "EMBEDDED_POSTGRES_TEST_FOLDER";

/// Another process that has said something about the server it runs.
pub struct Owner {
    pub process: Child,
    pub said: String,
    /// Kept open: the child still reports its end.
    output: Lines<BufReader<ChildStdout>>,
}

impl Owner {
    /// A process that runs a lasting server in the folder; says the server's process id.
    pub fn of(folder: &Path) -> Self {
        Self::start("hold", folder)
    }

    /// A process that makes a test database; says the folder of its test server. Ends when its input is closed.
    pub fn of_test_database() -> Self {
        Self::start("fresh", Path::new(""))
    }

    fn start(role: &str, folder: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this binary"))
            .args([
                "--exact",
                "child::owner_process",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
        let said = output
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("SAYS ")?.1.to_owned()));
        Self {
            process,
            said: said.expect("the child says what it made"),
            output,
        }
    }

    /// Ends the process as the system would when memory runs out.
    pub fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("collected");
    }

    /// Lets the process end by itself.
    pub fn let_end(&mut self) {
        drop(self.process.stdin.take());
        let rest: Vec<String> = self.output.by_ref().map_while(Result::ok).collect();
        assert!(
            rest.iter().any(|line| line.contains("1 passed")),
            "{rest:?}"
        );
        assert!(self.process.wait().expect("collected").success());
    }
}

/// Waits for something that another process does.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < patience, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "a role played for other tests, in a process of its own"]
async fn owner_process() {
    let role = std::env::var(ROLE).expect("started by another test");
    let said = if role == "hold" {
        let folder = std::env::var_os(FOLDER).expect("given");
        let server = Server::start(Settings::new(folder)).await.expect("started");
        let pid = server.pid();
        // For as long as this process lives.
        std::mem::forget(server);
        pid.to_string()
    } else {
        let database = testing::fresh_database().await;
        crate::ask(
            &database.admin_url().to_owned().into(),
            "SHOW data_directory",
        )
        .await
    };
    println!("SAYS {said}");
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .expect("waits for the end of its input");
}
