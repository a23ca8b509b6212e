//! The `crawler-entra` command: see `crawler-entra --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    crawler_entra::cli::main()
}
