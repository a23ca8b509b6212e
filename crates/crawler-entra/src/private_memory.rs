//! What is in the memory of a process that holds secrets stays there.

use nix::sys::resource::{Resource, setrlimit};

/// From now on the process leaves no core behind when it crashes, and other processes of the same user neither trace it nor
/// read its memory and its environment. Programs that it starts can leave no core either.
pub fn keep_memory_private() -> std::io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}
