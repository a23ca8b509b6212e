//! The `cadastre-worker` command: see `cadastre-worker --help`.

use std::process::ExitCode;

// Pages come and go for hours beside what is kept to the end: the system's allocator would hold on to the holes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    worker::cli::main()
}
