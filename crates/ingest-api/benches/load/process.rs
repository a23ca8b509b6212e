//! What processes used, from `/proc`: CPU time and memory. Where there is no `/proc`, nothing is known.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Linux counts CPU time for programs in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often PostgreSQL's memory is looked at.
const GLANCE: Duration = Duration::from_millis(250);

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy)]
struct Stat {
    parent: i32,
    ticks: u64,
    ticks_of_ended_children: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, brackets and blanks included.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            ticks_of_ended_children: number(13)? + number(14)?,
        })
    }
}

/// CPU seconds of one process, user and system.
pub fn cpu_seconds(pid: i32) -> Option<f64> {
    Some(Stat::read(pid)?.ticks as f64 / TICKS_PER_SECOND)
}

/// CPU seconds of a process, its children that live and those that ended.
pub fn cpu_seconds_of_family(pid: i32) -> Option<f64> {
    loop {
        let before = Stat::read(pid)?;
        let living: u64 = children(pid)
            .filter_map(Stat::read)
            .map(|stat| stat.ticks)
            .sum();
        let after = Stat::read(pid)?;
        // A child that ended in between would be missed or counted twice.
        if before.ticks_of_ended_children == after.ticks_of_ended_children {
            let ticks = after.ticks + after.ticks_of_ended_children + living;
            return Some(ticks as f64 / TICKS_PER_SECOND);
        }
    }
}

fn children(pid: i32) -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(move |child| Stat::read(*child).is_some_and(|stat| stat.parent == pid))
}

/// A line of `/proc/PID/status`, in bytes.
fn status(pid: i32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The most memory that a process had since [`forget_peak`], in bytes.
pub fn peak_memory(pid: i32) -> Option<u64> {
    status(pid, "VmHWM")
}

/// Starts the search for the peak anew. Where that is not allowed, the peak is that of the process's whole life.
pub fn forget_peak(pid: i32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Watches the memory of a process and its children until dropped: what each has for itself, and what they share once.
pub struct FamilyMemory {
    peak: Arc<AtomicU64>,
    stop: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl FamilyMemory {
    /// Begins to watch.
    pub fn watch(pid: i32) -> Self {
        let (peak, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (seen, stopping) = (Arc::clone(&peak), stop.clone());
        let task = tokio::spawn(async move {
            while !stopping.is_cancelled() {
                seen.fetch_max(family_memory(pid), Ordering::Relaxed);
                tokio::select! {
                    () = tokio::time::sleep(GLANCE) => {}
                    () = stopping.cancelled() => {}
                }
            }
        });
        Self {
            peak,
            stop,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The most that was seen, in bytes.
    pub fn finish(self) -> Option<u64> {
        self.stop.cancel();
        Some(self.peak.load(Ordering::Relaxed)).filter(|peak| *peak > 0)
    }
}

fn family_memory(pid: i32) -> u64 {
    let (mut own, mut shared) = (0, 0);
    for process in children(pid).chain([pid]) {
        own += status(process, "RssAnon").unwrap_or(0);
        shared = status(process, "RssShmem").unwrap_or(0).max(shared);
    }
    own + shared
}
