//! Parses the command line, runs it, and turns the outcome into an exit code.

use std::process::ExitCode;
use std::time::Duration;

use camera_node::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version come this way too; there is nobody to tell when the terminal is gone.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    // For signalling and the page; connections with viewers have a thread of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("net").enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(cli));
            // A thread that is stuck in a driver must not keep the program.
            runtime.shutdown_timeout(Duration::from_millis(200));
            code
        }
        Err(error) => {
            cli::complain(&anyhow::Error::new(error).context("no threads for the network"));
            ExitCode::FAILURE
        }
    }
}
