//! The server's process: made a cluster for, started, waited for, stopped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use crate::folder::DataFolder;
use crate::installation::Installation;
use crate::log_file::{LogFile, last_lines};
use crate::pid_file::PidFile;
use crate::secret::write_private;
use crate::watchdog::Watchdog;
use crate::{Error, Settings};

const GLANCE: Duration = Duration::from_millis(10);
/// Long, because recovery after a crash of a large database takes its time.
const READY_WITHIN: Duration = Duration::from_mins(10);
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
/// How long processes of a killed server may take to notice.
const MEMORY_FREED_WITHIN: Duration = Duration::from_secs(30);
const PORTS_TRIED: usize = 5;

/// The name of the role that may do everything; used by this crate only.
pub(crate) const ADMINISTRATOR: &str = "cadastre_admin";

/// Makes the cluster. One that was interrupted is made again from the start.
pub(crate) async fn initialise(
    folder: &DataFolder,
    installation: &Installation,
    password: &SecretString,
    settings: &Settings,
) -> Result<(), Error> {
    let unfinished = folder.unfinished_cluster();
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(Error::io("remove", &unfinished))?;
    }
    folder.make_folder_for_server(&unfinished)?;
    let password_file = folder.root().join("initdb-password");
    write_private(&password_file, password.expose_secret())?;
    folder.account().take(&password_file)?;

    let mut command = folder.account().command(&installation.program("initdb"));
    command
        .arg("-D")
        .arg(&unfinished)
        .args(["-U", ADMINISTRATOR, "--auth=scram-sha-256"]);
    command.arg("--pwfile").arg(&password_file);
    command
        .args(["--encoding=UTF8", "--data-checksums"])
        .args(locale(installation.version.major));
    if settings.ephemeral {
        command.arg("--no-sync");
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    std::fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    let output = output.map_err(Error::io("run", &installation.program("initdb")))?;
    if !output.status.success() {
        return Err(Error::Program {
            program: "initdb",
            output: last_lines(&String::from_utf8_lossy(&output.stderr)),
        });
    }
    let cluster = folder.cluster();
    std::fs::rename(&unfinished, &cluster).map_err(Error::io("rename", &unfinished))
}

/// Order by code point, but letters known beyond ASCII (names are searched without regard to case).
fn locale(major: u32) -> &'static [&'static str] {
    if major >= 17 {
        &[
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
    } else if cfg!(target_os = "linux") {
        &["--locale=C.UTF-8"]
    } else {
        &["--locale=en_US.UTF-8"]
    }
}

/// Stops a server that an owner before us left running in this folder. It is stopped rather than adopted: it is
/// somebody else's child, with somebody else's settings and port.
pub(crate) async fn stop_left_over(folder: &DataFolder) -> Result<(), Error> {
    let cluster = folder.cluster();
    let Some(file) = PidFile::read(&cluster) else {
        return Ok(());
    };
    if file.is_alive(&cluster) {
        tracing::info!(
            pid = file.pid,
            "stopping the server that an earlier owner left running"
        );
    }
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        if !file.is_alive(&cluster) {
            break;
        }
        send(file.pid, signal)?;
        let patience = Instant::now() + STOPPED_WITHIN;
        while file.is_alive(&cluster) && Instant::now() < patience {
            sleep(GLANCE).await;
        }
    }
    if file.is_alive(&cluster) {
        return Err(Error::StillRunning { pid: file.pid });
    }
    match PidFile::read(&cluster) {
        Some(stale) => stale.disown(),
        None => Ok(()),
    }
}

/// Can the server compress its log with LZ4 (PostgreSQL 15 on, if built so)? That takes a fraction of the time of its own
/// method, and after every checkpoint the first change of each page is logged with the whole page.
pub(crate) async fn knows_lz4(folder: &DataFolder, installation: &Installation) -> bool {
    let mut command = folder.account().command(&installation.program("postgres"));
    command
        .arg("-D")
        .arg(folder.cluster())
        .args(["-c", "wal_compression=lz4", "-C", "wal_compression"])
        .stdin(Stdio::null());
    // It prints the value of a setting and ends; a value that it does not know is an error.
    match command.output().await {
        Ok(output) => output.status.success() && output.stdout.trim_ascii() == b"lz4",
        Err(_) => false,
    }
}

/// A running server, stopped when this value is dropped.
#[derive(Debug)]
pub(crate) struct Postmaster {
    child: Child,
    watchdog: Option<Watchdog>,
    has_ended: bool,
}

impl Postmaster {
    /// Starts the server and waits until it accepts connections; returns its port too.
    pub(crate) async fn launch(
        folder: &DataFolder,
        installation: &Installation,
        settings: &Settings,
        watchdog: Watchdog,
    ) -> Result<(Self, u16), Error> {
        let mut watchdog = Some(watchdog);
        let mut ports_tried = 0;
        let give_up_on_memory = Instant::now() + MEMORY_FREED_WITHIN;
        loop {
            let port = settings.port.map_or_else(free_port, Ok)?;
            let (log, mut postmaster) = Self::spawn(folder, installation, settings, port)?;
            postmaster.watchdog = watchdog.take();
            let Err(reason) = postmaster.wait_until_ready(&folder.cluster()).await else {
                return Ok((postmaster, port));
            };
            // The watchdog stays for the next attempt.
            watchdog = postmaster.watchdog.take();
            let text = log.text();
            let is_port_taken = text.contains("could not create any TCP/IP sockets");
            let is_memory_in_use = text.contains("is still in use");
            ports_tried += usize::from(is_port_taken);
            match settings.port {
                Some(port) if is_port_taken => return Err(Error::PortTaken { port }),
                None if is_port_taken && ports_tried < PORTS_TRIED => {}
                _ if is_memory_in_use && Instant::now() < give_up_on_memory => {
                    sleep(GLANCE * 20).await;
                }
                _ => return Err(log.failure(reason)),
            }
        }
    }

    fn spawn(
        folder: &DataFolder,
        installation: &Installation,
        settings: &Settings,
        port: u16,
    ) -> Result<(LogFile, Self), Error> {
        let (log, file) = LogFile::open(&folder.log())?;
        let log_again = file.try_clone().map_err(Error::io("open", &folder.log()))?;
        let socket = folder.socket()?.unwrap_or_else(PathBuf::new);
        let program = installation.program("postgres");
        let mut command = folder.account().command(&program);
        command
            .arg("-D")
            .arg(folder.cluster())
            .arg("-c")
            .arg(format!("port={port}"));
        let mut sockets = std::ffi::OsString::from("unix_socket_directories=");
        sockets.push(&socket);
        command.arg("-c").arg(sockets);
        for (name, value) in settings.server_configuration() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &settings.environment {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).stdout(file).stderr(log_again);
        // Not tokio's child: it may outlive the runtime it was started on (a test process has many).
        let child = command
            .as_std_mut()
            .spawn()
            .map_err(Error::io("run", &program))?;
        let postmaster = Self {
            child,
            watchdog: None,
            has_ended: false,
        };
        Ok((log, postmaster))
    }

    async fn wait_until_ready(&mut self, cluster: &Path) -> Result<(), String> {
        let pid = self.child.id();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.watch(pid).map_err(|error| error.to_string())?;
        }
        let patience = Instant::now() + READY_WITHIN;
        while Instant::now() < patience {
            if let Some(status) = self.ended().map_err(|error| error.to_string())? {
                return Err(format!("it ended: {status}"));
            }
            let file = PidFile::read(cluster).filter(|file| i64::from(file.pid) == i64::from(pid));
            if file.is_some_and(|file| file.is_ready) {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
        Err(format!("not ready after {} s", READY_WITHIN.as_secs()))
    }

    /// Stops the server: connections are ended, everything is flushed.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            self.signal(signal)?;
            let patience = Instant::now() + STOPPED_WITHIN;
            while self.ended()?.is_none() && Instant::now() < patience {
                sleep(GLANCE).await;
            }
        }
        if self.ended()?.is_none() {
            return Err(Error::StillRunning { pid: self.pid() });
        }
        match self.watchdog.take() {
            Some(watchdog) => watchdog.finish().await,
            None => Ok(()),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        send(self.pid(), signal)
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        let status = self
            .child
            .try_wait()
            .map_err(Error::io("wait for", Path::new("postgres")))?;
        self.has_ended |= status.is_some();
        Ok(status)
    }
}

impl Drop for Postmaster {
    /// Asks the server to stop and gives it a moment; the watchdog, whose lifeline is dropped after this, does the
    /// rest.
    fn drop(&mut self) {
        if self.has_ended || self.signal(Signal::SIGINT).is_err() {
            return;
        }
        let patience = Instant::now() + Duration::from_secs(5);
        while matches!(self.ended(), Ok(None)) && Instant::now() < patience {
            std::thread::sleep(GLANCE);
        }
    }
}

fn send(pid: i32, signal: Signal) -> Result<(), Error> {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(errno) => Err(Error::io(
            "signal",
            &PathBuf::from(format!("process {pid}")),
        )(errno.into())),
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .map(|address| address.port())
        .map_err(Error::io("find", Path::new("a free port")))
}
