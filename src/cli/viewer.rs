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
    /// Write also over files that are not an earlier export.
    #[arg(long)]
    force: bool,
}

/// Writes the files.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !page_is_built() {
        bail!(
            "this binary was built without the viewer page: run `npm ci && npm run build` in src/viewer, and build again"
        );
    }
    if !args.force {
        refuse_to_overwrite(&args.export)?;
    }
    let files = export(&args.export)?;
    out::line(&format!("{files} files in {}", args.export.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Stands in every page this program has exported.
const OURS: &str = r#"<meta name="generator" content="camera-node">"#;

/// A web host's folder may hold another site's `index.html`.
fn refuse_to_overwrite(folder: &Path) -> anyhow::Result<()> {
    if fs::read_to_string(folder.join("index.html")).is_ok_and(|page| page.contains(OURS)) {
        return Ok(());
    }
    match page_files().map(|(name, _)| folder.join(name)).find(|path| path.exists()) {
        Some(path) => bail!(
            "{} is there already and would be lost: export into a folder of its own, or add --force",
            path.display()
        ),
        None => Ok(()),
    }
}

fn export(folder: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    for (name, content) in page_files() {
        let name = Path::new(&name);
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
    fn another_sites_page_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        refuse_to_overwrite(folder.path()).expect("an empty folder");
        fs::write(folder.path().join("index.html"), "<html>my garden</html>").expect("written");
        let refused = refuse_to_overwrite(folder.path()).expect_err("not ours");
        assert!(refused.to_string().ends_with("export into a folder of its own, or add --force"), "{refused}");
    }

    #[test]
    fn the_exported_page_can_be_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("not/there/yet");
        let files = export(&target).expect("written");
        assert!(files > 0);
        refuse_to_overwrite(&target).expect("a newer page may replace an older one");
        assert!(fs::read_to_string(target.join("index.html")).expect("the page").contains("<html"));
    }
}
