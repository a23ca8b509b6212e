//! A full disk: nothing is acknowledged that is not kept, and once there is room again, work goes on (F17).

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use super::{Register, postgres::Postgres, writers::Writers};
use crate::{app::people, client::Call};

/// A small file system, unmounted with the value.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one; answers why it cannot be done where it cannot.
    fn mount(path: &Path) -> Result<Self, String> {
        fs::create_dir(path).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs"])
            .arg(path)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            return Ok(Self {
                path: path.to_owned(),
            });
        }
        Err(String::from_utf8_lossy(&mounted.stderr).into_owned())
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Writes until nothing more fits; again and again, because the other side may free some.
    fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .expect("a file");
        for size in [1024 * 1024, 4096, 1] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: on a panic something may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// As another user than root the test runs in a name space of its own, where it may mount.
fn run_in_a_name_space() {
    const INSIDE: &str = "CADASTRE_TEST_MAY_MOUNT";
    const NAME: &str =
        "hostile::full_disk::on_a_full_disk_nothing_is_acknowledged_that_is_not_kept";
    if std::env::var_os(INSIDE).is_some() {
        println!("skipped: even in a name space of its own the test may not mount");
        return;
    }
    let inside = Command::new("unshare")
        .args([
            "--user",
            "--map-current-user",
            "--keep-caps",
            "--mount",
            "--",
        ])
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", NAME, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match inside {
        Ok(inside) => {
            let said = String::from_utf8_lossy(&inside.stdout).into_owned();
            let complained = String::from_utf8_lossy(&inside.stderr).into_owned();
            println!("{said}{complained}");
            let has_run = said.contains("test result");
            assert!(!has_run || inside.status.success());
            if !has_run {
                println!("skipped: no small disk to be had");
            }
        }
        Err(error) => println!("skipped: no small disk to be had: unshare: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_acknowledged_that_is_not_kept() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = place.path().to_owned();
    let disk = match SmallDisk::mount(&folder.join("disk")) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("no small disk here: {reason}");
            return run_in_a_name_space();
        }
    };
    let sizes = [("max_wal_size", "48MB"), ("min_wal_size", "32MB")];
    let opened = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&folder, opened).expect("opened");
    let postgres = Postgres::start(&disk.path, &sizes).await;
    let mut register = Register::over(postgres, &folder).await;

    let mut writers = Writers::start(&register.client, register.system_id, 4);
    writers.progress(8).await;
    disk.fill();
    refused_for_want_of_room(&register, &disk).await;
    // It may be down: a log that cannot be written ends PostgreSQL.
    if let Some(mut watcher) = register.postgres.try_connect().await {
        writers.check(&mut watcher).await;
    }

    disk.make_room();
    register.postgres.ensure_up().await;
    writers.progress(8).await;
    let mut watcher = register.postgres.connect().await;
    writers.finish(&mut watcher).await;
}

/// Writes until a write is refused. Single answers may still be good: the disk fills with what they write.
async fn refused_for_want_of_room(register: &Register, disk: &SmallDisk) {
    for attempt in 0..600_u32 {
        disk.fill();
        let body = json!({"systemId": register.system_id, "atomic": true,
                          "records": people(900_000_000 + attempt * 500..900_000_000 + attempt * 500 + 500, "Ada")});
        // Into another table than the writers', whose rows are counted.
        let call = Call::post("/api/ingest/identities", &body);
        let answer = register
            .client
            .once(&call)
            .await
            .expect("the server answers");
        match answer.status.as_u16() {
            201 => tokio::time::sleep(Duration::from_millis(10)).await,
            503 | 507 => return,
            other => panic!("{other}: {}", answer.body),
        }
    }
    panic!("the disk does not fill up");
}
