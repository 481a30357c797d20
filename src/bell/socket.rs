//! The Unix socket of a running node: `camera-node ring` asks through it, and hears what becomes of the ring.
//!
//! A request is one line of JSON, [`Request`]; the answer is one, and a second when the ring is over and that was asked
//! for, each an [`Answer`]. Who may ask is what the file's mode says: its owner.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::{Button, Told, Wish};
use crate::session::NodeId;
use crate::session::node::{HungUp, RingOutcome, RingTo};

/// A name of 64 characters and its frame.
const MAX_REQUEST_BYTES: u64 = 1_024;
/// Whoever connects has its request at hand.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);
/// Askers at the same time.
const MAX_CLIENTS: usize = 8;

/// What `camera-node ring` asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name to ring; without it everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether to tell how it ends.
    #[serde(default)]
    pub wait: bool,
    /// Whether to ring nobody, but to hang up on everybody.
    #[serde(default, rename = "hangUp", skip_serializing_if = "std::ops::Not::not")]
    pub hang_up: bool,
}

/// What the node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// These are rung, by name.
    Rung(Vec<String>),
    /// Nobody is; this is why.
    Error(String),
    /// This one has taken the call.
    Answered(String),
    /// Nobody has: who was rung, and why not.
    Unanswered(Vec<(String, String)>),
    /// These were hung up on, by name; perhaps nobody.
    #[serde(rename = "hungUp")]
    HungUp {
        /// Who was rung.
        rung: Vec<String>,
        /// Who was in a call.
        calls: Vec<String>,
    },
}

impl From<Told> for Answer {
    fn from(told: Told) -> Self {
        match told {
            Told::Rung(names) => Self::Rung(names),
            Told::NotRung(why) => Self::Error(why.to_string()),
            Told::HungUp(HungUp { rung, calls }) => Self::HungUp { rung, calls },
            Told::Over(RingOutcome::Answered { name, .. }) => Self::Answered(name),
            Told::Over(RingOutcome::Unanswered(by)) => {
                Self::Unanswered(by.into_iter().map(|(name, why)| (name, why.name().to_owned())).collect())
            }
        }
    }
}

/// What went wrong with the socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It cannot be made.
    #[error("ring.socket {}: {source}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belongs to another node that runs.
    #[error("ring.socket {}: another node listens there", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Nobody listens.
    #[error("{}: no node listens there (is it running, and as the same user?): {source}", path.display())]
    NoNode {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The node has gone, or is another program.
    #[error("the node did not answer")]
    NoAnswer,
}

/// Where the socket is that no config names; `None` where there is no folder for such things.
pub fn default_path(node: &NodeId) -> Option<PathBuf> {
    let of_user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folders = std::iter::once(PathBuf::from("/run/camera-node")).chain(of_user);
    folders.into_iter().find(|folder| folder.is_dir()).map(|folder| folder.join(format!("camera-node-{node}.sock")))
}

/// A listening socket. Dropped, it is removed.
pub struct BellSocket {
    path: PathBuf,
    accept: JoinHandle<()>,
}

impl BellSocket {
    /// Listens at `path`; a file that a killed node has left there is replaced.
    ///
    /// # Errors
    /// [`SocketError::Bind`], [`SocketError::Taken`].
    pub async fn listen(path: &Path, button: Button) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Bind { path: path.to_owned(), source };
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(SocketError::Taken { path: path.to_owned() });
                }
                std::fs::remove_file(path).map_err(failed)?;
                UnixListener::bind(path).map_err(failed)?
            }
            bound => bound.map_err(failed)?,
        };
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), accept: tokio::spawn(accept(listener, button)) })
    }
}

impl Drop for BellSocket {
    fn drop(&mut self) {
        self.accept.abort();
        // Whatever is wrong with it, the next start replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, button: Button) {
    let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    let next = || async {
        let permit = Arc::clone(&permits).acquire_owned().await;
        (listener.accept().await, permit)
    };
    loop {
        tokio::select! {
            (accepted, permit) = next() => match accepted {
                Ok((stream, _)) => {
                    let button = button.clone();
                    clients.spawn(async move {
                        if let Err(error) = serve(stream, &button).await {
                            tracing::debug!(%error, "a client of the ring socket has gone");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the ring socket cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, button: &Button) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST_BYTES));
    timeout(REQUEST_WITHIN, read.read_line(&mut line)).await??;
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => return tell(&mut write, &Answer::Error(format!("not a request: {error}"))).await,
    };
    let wish = match request.peer {
        _ if request.hang_up => Wish::HangUp,
        peer => Wish::Ring(peer.map_or(RingTo::All, RingTo::Name)),
    };
    let mut told = button.press(wish, "camera-node ring");
    let mut more = true;
    while more {
        let answer = tokio::select! {
            told = told.recv() => told.map(Answer::from),
            // Nothing is sent after the request: whoever does, or goes, waits no longer.
            _ = read.read_u8() => return Ok(()),
        };
        let answer = answer.unwrap_or_else(|| Answer::Error("the node is busy, or going down".to_owned()));
        more = request.wait && matches!(answer, Answer::Rung(_));
        tell(&mut write, &answer).await?;
    }
    Ok(())
}

async fn tell(write: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Asks the node that listens at `path`.
pub struct Client {
    read: tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    _write: tokio::net::unix::OwnedWriteHalf,
}

impl Client {
    /// Sends the request.
    ///
    /// # Errors
    /// [`SocketError::NoNode`].
    pub async fn ask(path: &Path, request: &Request) -> Result<Self, SocketError> {
        let failed = |source| SocketError::NoNode { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(request).expect("plain data");
        line.push(b'\n');
        write.write_all(&line).await.map_err(failed)?;
        Ok(Self { read: BufReader::new(read).lines(), _write: write })
    }

    /// The next answer.
    ///
    /// # Errors
    /// [`SocketError::NoAnswer`].
    pub async fn answer(&mut self) -> Result<Answer, SocketError> {
        let line = self.read.next_line().await.ok().flatten().ok_or(SocketError::NoAnswer)?;
        serde_json::from_str(&line).map_err(|_| SocketError::NoAnswer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::node::{NoAnswer, NotRung};

    #[tokio::test]
    async fn a_client_hears_who_rings_and_how_it_ends() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("ring.sock");
        // What a killed node leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        let (button, mut pressed) = Button::new();
        let socket = BellSocket::listen(&path, button.clone()).await.expect("the old one is replaced");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(matches!(BellSocket::listen(&path, button).await, Err(SocketError::Taken { .. })));

        let request = Request { peer: Some("Kitchen".to_owned()), wait: true, ..Request::default() };
        let mut client = Client::ask(&path, &request).await.expect("a node");
        let press = pressed.recv().await.expect("a press");
        assert_eq!(press.wish, Wish::Ring(RingTo::Name("Kitchen".to_owned())));
        press.told.send(Told::Rung(vec!["Kitchen".to_owned()])).expect("it listens");
        assert_eq!(client.answer().await.expect("told"), Answer::Rung(vec!["Kitchen".to_owned()]));
        let why = ("Kitchen".to_owned(), NoAnswer::Declined);
        press.told.send(Told::Over(RingOutcome::Unanswered(vec![why]))).expect("it listens");
        let by = vec![("Kitchen".to_owned(), "declined".to_owned())];
        assert_eq!(client.answer().await.expect("told"), Answer::Unanswered(by));
        assert!(matches!(client.answer().await, Err(SocketError::NoAnswer)), "it is over");

        let mut client = Client::ask(&path, &Request { wait: true, ..Request::default() }).await.expect("a node");
        let press = pressed.recv().await.expect("a press");
        press.told.send(Told::NotRung(NotRung::NobodyRegistered)).expect("it listens");
        assert_eq!(client.answer().await.expect("told"), Answer::Error("nobody is registered".to_owned()));

        drop(socket);
        assert!(!path.exists());
        assert!(matches!(Client::ask(&path, &request).await, Err(SocketError::NoNode { .. })));
    }

    #[tokio::test]
    async fn a_client_hears_whom_it_has_hung_up_on() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("ring.sock");
        let (button, mut pressed) = Button::new();
        let _socket = BellSocket::listen(&path, button).await.expect("a free path");
        let request = Request { hang_up: true, ..Request::default() };
        assert_eq!(serde_json::to_string(&request).expect("plain data"), r#"{"wait":false,"hangUp":true}"#);
        let mut client = Client::ask(&path, &request).await.expect("a node");
        let press = pressed.recv().await.expect("a press");
        assert_eq!(press.wish, Wish::HangUp);
        let whom = HungUp { rung: Vec::new(), calls: vec!["Kitchen".to_owned()] };
        press.told.send(Told::HungUp(whom)).expect("it listens");
        let answer = client.answer().await.expect("told");
        let line = serde_json::to_string(&answer).expect("plain data");
        assert_eq!(line, r#"{"hungUp":{"rung":[],"calls":["Kitchen"]}}"#);
        assert!(matches!(client.answer().await, Err(SocketError::NoAnswer)), "it is over");
    }

    #[tokio::test]
    async fn what_is_no_request_is_told_so_and_presses_nothing() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("ring.sock");
        let (button, mut pressed) = Button::new();
        let _socket = BellSocket::listen(&path, button).await.expect("a free path");
        for junk in ["\n".to_owned(), "{\"whom\":1}\n".to_owned(), "x".repeat(5_000)] {
            let mut stream = UnixStream::connect(&path).await.expect("it listens");
            // It may have heard enough before the end.
            let _ = stream.write_all(junk.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty() || answer.contains("not a request"), "{answer}");
        }
        assert!(pressed.try_recv().is_err());
    }
}
