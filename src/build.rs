//! Lays the viewer page, compressed, where the binary embeds it from: npm's build if there is one, else a page that says
//! how to make it. Never runs npm, so a build without Node.js still works. Also notes when it was: a clock that shows less is not set.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let source = variable("CARGO_MANIFEST_DIR")?.join("src");
    let embedded = variable("OUT_DIR")?.join("viewer");

    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rustc-env=CAMERA_NODE_BUILT_S={}", built_s());
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-changed=src/http/unbuilt");
    // A path that does not exist would run this, and rebuild the crate, every time; so until npm has built the page its
    // parent is watched. A folder is watched with everything in it.
    let dist = source.join("viewer/dist");
    match (dist.exists(), source.join("viewer").exists()) {
        (true, _) => println!("cargo:rerun-if-changed=src/viewer/dist"),
        (false, true) => println!("cargo:rerun-if-changed=src/viewer"),
        (false, false) => println!("cargo:rerun-if-changed=src"),
    }

    let built = dist.join("index.html").is_file();
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    let page = if built { dist } else { source.join("http/unbuilt") };
    compress_folder(&page, &embedded)
}

/// Seconds since 1970; of a build that is to be repeatable, those it was told.
#[expect(clippy::disallowed_methods, reason = "the moment of the build is what is asked for")]
fn built_s() -> u64 {
    let told = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    told.unwrap_or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Every file of `from` as `NAME.gz` in `to`. The same file gives the same bytes: no name and no time are written.
fn compress_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let mut target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            compress_folder(&entry.path(), &target)?;
        } else {
            target.as_mut_os_string().push(".gz");
            let mut compressed = GzEncoder::new(fs::File::create(target)?, Compression::best());
            io::copy(&mut fs::File::open(entry.path())?, &mut compressed)?;
            compressed.finish()?;
        }
    }
    Ok(())
}
