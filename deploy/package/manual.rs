//! Writes man pages and shell completions, made of the command line itself, into the folder that it is given. An example
//! and no subcommand, so that the binary on a board need not carry it: `deploy/package/build` runs it.

use std::path::PathBuf;
use std::{env, fs, io};

use camera_node::cli::Cli;
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};

fn main() -> io::Result<()> {
    let folder: PathBuf = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: manual FOLDER"))?.into();
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Cli::command(), "camera-node", &completions)?;
    }
    Ok(())
}
