//! The `cadastre-worker` command: see `cadastre-worker --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::cli::main()
}
