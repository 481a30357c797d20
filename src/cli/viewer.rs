//! `camera-node viewer`: the page as files that any web host can serve.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::out;
use crate::http::{page_files, page_is_built};

/// Options of `viewer`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write the page into this folder, which is made if it is not there. Broker and node stand in the page's address:
    /// index.html#broker=wss://broker.example.org/mqtt&node=porch
    #[arg(long, value_name = "DIR")]
    export: PathBuf,
}

/// Writes the files.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !page_is_built() {
        bail!(
            "this binary was built without the viewer page: run `npm ci && npm run build` in src/viewer, and build again"
        );
    }
    let files = export(&args.export)?;
    out::line(&format!("{files} files in {}", args.export.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn export(folder: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    for (name, content) in page_files() {
        let name = Path::new(name.as_ref());
        // The names were made by our own build; one that leads out of the folder would be its bug.
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("the page has a file named {}", name.display());
        }
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        files += 1;
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exported_page_can_be_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("not/there/yet");
        let files = export(&target).expect("written");
        assert!(files > 0);
        assert!(fs::read_to_string(target.join("index.html")).expect("the page").contains("<html"));
    }
}
