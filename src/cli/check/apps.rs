//! Whether the programs that viewers talk to are there. Each sees a connection that goes again without a word.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::io::Errno;

use super::report::Finding;
use super::surroundings::user;
use crate::control::config::App;
use crate::sys::PacketSocket;

/// Knocks at each socket. Needs a runtime around it, and takes no time.
pub fn check(apps: &[App]) -> Vec<Finding> {
    apps.iter().map(|app| finding(app, PacketSocket::connect(&app.socket).map(drop))).collect()
}

/// What an attempt to reach a program says. One that is not started yet is no fault of the node's: viewers are told so.
fn finding(app: &App, knocked: io::Result<()>) -> Finding {
    let part = format!("app {}", app.name);
    let socket = app.socket.display();
    let Err(error) = knocked else { return Finding::good(part, format!("a program listens at {socket}")) };
    let not_yet = || Finding::good(part.clone(), format!("{socket}: nobody listens there yet"));
    match Errno::from_io_error(&error) {
        // It listens, and has others to take in first.
        Some(Errno::AGAIN) => Finding::good(part, format!("a program listens at {socket}, and has much to do")),
        Some(Errno::PROTOTYPE) => Finding::bad(
            part,
            format!("{socket}: who listens there speaks another kind of socket"),
            "let the program open a socket of the type SOCK_SEQPACKET, not SOCK_STREAM or SOCK_DGRAM: deploy/apps has one",
        ),
        _ if error.kind() == ErrorKind::NotFound => {
            let folder = app.socket.parent().filter(|folder| !folder.is_dir());
            not_yet().with_advice(folder.map_or_else(
                || "start the program".to_owned(),
                |folder| format!("start the program, or correct the path: there is no folder {} yet", folder.display()),
            ))
        }
        _ if error.kind() == ErrorKind::PermissionDenied => Finding::bad(
            part,
            format!("{socket}: not allowed"),
            format!("let the user {} write to the socket, and enter the folders above it", user()),
        ),
        _ if !is_socket(&app.socket) => Finding::bad(
            part,
            format!("{socket}: is no socket"),
            "set `socket` to the path at which the program listens",
        ),
        Some(Errno::CONNREFUSED) => not_yet().with_advice("start the program"),
        _ => Finding::bad(part, format!("{socket}: {error}"), "set `socket` to the path at which the program listens"),
    }
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    use super::*;

    fn found(socket: &Path) -> Finding {
        let app = App { name: "ptz".to_owned(), socket: socket.to_owned() };
        check(&[app]).remove(0)
    }

    #[tokio::test]
    async fn a_program_that_listens_is_good_and_one_that_does_not_yet_is_no_fault() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("app.sock");
        let nobody = found(&path);
        assert!(
            nobody.ok && nobody.text().ends_with("nobody listens there yet\n      start the program"),
            "{nobody:?}"
        );
        let nowhere = found(&folder.path().join("no/app.sock"));
        assert!(nowhere.ok && nowhere.text().contains("there is no folder"), "{nowhere:?}");

        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("a socket");
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).expect("short")).expect("a new path");
        let not_yet = found(&path);
        assert!(not_yet.ok && not_yet.advice.is_some(), "bound, and not listening: {not_yet:?}");
        rustix::net::listen(&socket, 8).expect("bound");
        let there = found(&path);
        assert_eq!((there.ok, there.advice.as_deref()), (true, None), "{there:?}");
        drop(socket);
        let left_over = found(&path);
        assert!(left_over.ok && left_over.advice.is_some(), "{left_over:?}");
    }

    #[tokio::test]
    async fn what_is_no_such_socket_is_told_of() {
        let folder = tempfile::tempdir().expect("there is room");
        let stream = folder.path().join("stream.sock");
        let _listener = UnixListener::bind(&stream).expect("a new path");
        let found_stream = found(&stream);
        assert!(!found_stream.ok && found_stream.text().contains("SOCK_SEQPACKET"), "{found_stream:?}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("there is room");
        let found_file = found(&file);
        assert!(!found_file.ok && found_file.detail.ends_with("is no socket"), "{found_file:?}");
    }

    #[test]
    fn a_socket_that_is_not_ours_to_use_names_the_user() {
        let app = App { name: "ptz".to_owned(), socket: "/run/ptz/app.sock".into() };
        let locked = finding(&app, Err(io::Error::from(Errno::ACCESS)));
        assert!(!locked.ok && locked.text().contains("let the user "), "{locked:?}");
        assert!(finding(&app, Err(io::Error::from(Errno::AGAIN))).ok);
    }
}
