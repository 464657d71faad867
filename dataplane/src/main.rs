//! The binary `weir`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dataplane::cli::main()
}
