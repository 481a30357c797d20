//! The channel `files`: lists, gives and deletes the plain files of the one folder that the config names.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Services;
use super::announcer::error_of;
use super::viewer::{Ended, Viewer};
use crate::access::Sha256;
use crate::control::{
    ControlError, ErrorCode, FileInfo, FileName, FileRequest, Range, deleted, file_header, listing, read_request,
    refusal,
};
use crate::node::clock::now;
use crate::peer::{Channel, Closed, MAX_MESSAGE_BYTES, Message, Outgoing};
use crate::sys::{FileStat, Folder};

/// Read, hashed and sent at a time.
const BLOCK_BYTES: usize = 16 * MAX_MESSAGE_BYTES;

/// A file goes no faster than this, so that pictures of the same viewer find the network free between its packets: 100 Mbit/s.
const BYTES_PER_SECOND: u64 = 12_500_000;

/// More files than this are not listed: whoever has them needs another way to look.
const MAX_LISTED: usize = 10_000;

/// Hashes that are remembered: of those that a viewer fetches on after a break.
const MAX_HASHES: usize = 64;

/// The folder, and what is known of its files.
#[derive(Debug, Default)]
pub struct Files {
    folder: Mutex<Option<PathBuf>>,
    hashes: Mutex<VecDeque<(FileStat, String)>>,
    /// One at a time: it keeps a processor busy.
    hashing: tokio::sync::Mutex<()>,
}

impl Files {
    /// The folder from now on.
    pub fn set_folder(&self, folder: Option<&Path>) {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = folder.map(Path::to_owned);
    }

    /// Whether there is one.
    pub fn are_served(&self) -> bool {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn folder(&self) -> Result<PathBuf, ControlError> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        folder.ok_or_else(|| {
            ControlError::new(ErrorCode::Unsupported, "the node's config names no folder: [files] folder")
        })
    }

    /// Of what is in this file now; read once for each time it is written.
    async fn sha256(&self, file: &Arc<File>, stat: FileStat) -> Result<String, ControlError> {
        let _one = self.hashing.lock().await;
        let known = self.hashes().iter().find(|(of, _)| *of == stat).map(|(_, hash)| hash.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let file = Arc::clone(file);
        let hash = blocking(move || hash(&file, stat.bytes)).await?;
        let mut hashes = self.hashes();
        hashes.push_back((stat, hash.clone()));
        if hashes.len() > MAX_HASHES {
            hashes.pop_front();
        }
        Ok(hash)
    }

    fn hashes(&self) -> std::sync::MutexGuard<'_, VecDeque<(FileStat, String)>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until the channel ends.
pub async fn serve(all: Arc<Services>, viewer: Viewer, mut channel: Channel) -> Ended {
    loop {
        let request = match channel.next().await {
            Ok(message) => read_request::<FileRequest>(&message.data),
            Err(end) => return error_of(end),
        };
        tracing::debug!(session = %viewer.key, ?request, "asked for files");
        let outgoing = channel.outgoing();
        let answer = match request {
            Ok(FileRequest::List { after }) => list(&all.files, after).await,
            Ok(FileRequest::Delete { name }) => delete(&all.files, &viewer, name).await,
            Ok(FileRequest::Fetch { name, offset }) => match begin(&all.files, &name, offset).await {
                Ok((header, file, bytes)) => match send(outgoing, header, &file, offset..bytes).await {
                    Ok(Ok(())) => continue,
                    // It has become shorter: what has been said of it cannot be kept.
                    Ok(Err(why)) => return Some(why),
                    Err(Closed) => return None,
                },
                Err(why) => Err(why),
            },
            Err(why) => Err(why),
        };
        let answer = answer.unwrap_or_else(|why| refusal(&why));
        if outgoing.send(Message::text(answer)).await.is_err() {
            return None;
        }
    }
}

async fn list(files: &Files, after: Option<FileName>) -> Result<String, ControlError> {
    let folder = files.folder()?;
    let found = blocking(move || Folder::open(&folder)?.files(MAX_LISTED)).await?;
    let named = found.into_iter().filter_map(|(name, stat)| {
        // One that cannot be asked for is not told.
        let name = String::from_utf8(name).ok()?.try_into().ok()?;
        Some(info(name, &stat))
    });
    Ok(listing(named.collect(), after.as_ref()))
}

async fn delete(files: &Files, viewer: &Viewer, name: FileName) -> Result<String, ControlError> {
    let folder = files.folder()?;
    let asked = name.clone();
    blocking(move || Folder::open(&folder)?.delete(asked.as_str())).await?;
    tracing::info!(session = %viewer.key, file = name.as_str(), "a file was deleted by a viewer");
    Ok(deleted(&name))
}

/// The header of a file's answer, the file, and its length.
async fn begin(files: &Files, name: &FileName, offset: u64) -> Result<(String, Arc<File>, u64), ControlError> {
    let folder = files.folder()?;
    let asked = name.clone();
    let (file, stat) = blocking(move || Folder::open(&folder)?.read(asked.as_str())).await?;
    if offset > stat.bytes {
        let range = Range { minimum: 0, maximum: i64::try_from(stat.bytes).unwrap_or(i64::MAX), step: 1 };
        return Err(ControlError::out_of_range("offset", i64::try_from(offset).unwrap_or(i64::MAX), range));
    }
    let file = Arc::new(file);
    let sha256 = files.sha256(&file, stat).await?;
    Ok((file_header(&info(name.clone(), &stat), &sha256, offset), file, stat.bytes))
}

/// Sends the header and these bytes; waits for the viewer, and leaves room for its pictures.
async fn send(
    outgoing: &Outgoing,
    header: String,
    file: &Arc<File>,
    span: std::ops::Range<u64>,
) -> Result<Result<(), ControlError>, Closed> {
    outgoing.send(Message::text(header)).await?;
    let (mut at, mut due) = (span.start, now());
    while at < span.end {
        let length = usize::try_from(span.end - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        let (from, begin) = (Arc::clone(file), at);
        let mut block = match blocking(move || read(&from, begin, length)).await {
            Ok(block) => block,
            Err(why) => return Ok(Err(why)),
        };
        at += length as u64;
        while !block.is_empty() {
            let chunk = block.split_to(block.len().min(MAX_MESSAGE_BYTES));
            // What a slow viewer has left unused is not made good later.
            due = due.max(now()) + Duration::from_nanos(chunk.len() as u64 * 1_000_000_000 / BYTES_PER_SECOND);
            outgoing.send(Message { text: false, data: chunk }).await?;
            if due.saturating_duration_since(now()) >= TICK {
                tokio::time::sleep_until(due.into()).await;
            }
        }
    }
    Ok(Ok(()))
}

/// A timer is no finer.
const TICK: Duration = Duration::from_millis(2);

fn read(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut block = vec![0; length];
    file.read_exact_at(&mut block, at)?;
    Ok(block.into())
}

fn hash(file: &File, bytes: u64) -> io::Result<String> {
    let (mut hash, mut at) = (Sha256::default(), 0);
    while at < bytes {
        let length = usize::try_from(bytes - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        hash.update(&read(file, at, length)?);
        at += length as u64;
    }
    Ok(hash.hex())
}

fn info(name: FileName, stat: &FileStat) -> FileInfo {
    FileInfo { name, bytes: stat.bytes, modified: stat.modified_s }
}

/// Asks the file system where it may take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ControlError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done =
        done.map_err(|_| ControlError::new(ErrorCode::Internal, "this is a defect, please report it with the log"))?;
    done.map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> ControlError {
    match error.kind() {
        io::ErrorKind::NotFound => ControlError::new(ErrorCode::NoSuchFile, "there is no file of this name"),
        io::ErrorKind::UnexpectedEof => {
            ControlError::new(ErrorCode::FileFailed, "the file has become shorter meanwhile")
        }
        _ => ControlError::new(ErrorCode::FileFailed, format!("the node cannot do this with its files: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> FileName {
        name.to_owned().try_into().expect("a plain name")
    }

    #[tokio::test]
    async fn a_header_has_the_hash_of_the_file_as_it_is_now() {
        let folder = tempfile::tempdir().expect("there is room");
        let files = Files::default();
        assert_eq!(begin(&files, &name("a"), 0).await.expect_err("no folder").code(), 12);
        files.set_folder(Some(folder.path()));
        assert_eq!(begin(&files, &name("a"), 0).await.expect_err("no file").code(), 80);
        let path = folder.path().join("a");
        // The examples of FIPS 180-2: "abc", and nothing.
        std::fs::write(&path, "abc").expect("there is room");
        let (header, _, bytes) = begin(&files, &name("a"), 3).await.expect("it is there");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(header.contains(abc) && header.contains(r#""offset":3"#) && bytes == 3, "{header}");
        assert_eq!(begin(&files, &name("a"), 4).await.expect_err("beyond the end").code(), 61);
        begin(&files, &name("a"), 0).await.expect("it is there");
        assert_eq!(files.hashes().len(), 1, "hashed once");
        std::fs::write(&path, "").expect("there is room");
        let (header, ..) = begin(&files, &name("a"), 0).await.expect("it is there");
        assert!(header.contains("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), "{header}");
        std::fs::remove_dir_all(folder.path()).expect("it was there");
        assert_eq!(list(&files, None).await.expect_err("the folder is gone").code(), 80);
    }

    #[tokio::test]
    async fn a_file_that_becomes_shorter_while_it_is_sent_and_a_folder_that_is_none_have_failed() {
        let folder = tempfile::tempdir().expect("there is room");
        let files = Files::default();
        files.set_folder(Some(folder.path()));
        let path = folder.path().join("a");
        std::fs::write(&path, "abcdef").expect("there is room");
        let (_, file, bytes) = begin(&files, &name("a"), 0).await.expect("it is there");
        std::fs::write(&path, "ab").expect("there is room");
        let length = usize::try_from(bytes).expect("six");
        let why = blocking(move || read(&file, 0, length)).await.expect_err("two bytes are left");
        assert_eq!((why.code(), why.message.as_str()), (81, "the file has become shorter meanwhile"));
        files.set_folder(Some(&path));
        assert_eq!(list(&files, None).await.expect_err("no folder").code(), 81);
    }

    #[tokio::test]
    async fn no_more_hashes_are_kept_than_there_is_room_for() {
        let folder = tempfile::tempdir().expect("there is room");
        let files = Files::default();
        files.set_folder(Some(folder.path()));
        for n in 0..MAX_HASHES + 5 {
            std::fs::write(folder.path().join(n.to_string()), n.to_string()).expect("there is room");
            begin(&files, &name(&n.to_string()), 0).await.expect("it is there");
        }
        assert_eq!(files.hashes().len(), MAX_HASHES);
    }
}
