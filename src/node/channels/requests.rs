//! The shell around a viewer's requests: reads them, has them done, sends the answers as they come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::announcer::error_of;
use super::viewer::{Ended, Viewer};
use super::{Services, camera};
use crate::control::{Command, ControlError, ErrorCode, Method, Requests, Step};
use crate::peer::{Channel, Message};

/// A camera that is opened anew may take this long. What is begun is brought to its end all the same.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// Answers until the channel ends.
pub async fn serve(all: Arc<Services>, viewer: Viewer, mut channel: Channel) -> Ended {
    let mut requests = Requests::default();
    let mut doing = FuturesUnordered::new();
    loop {
        let (reply, restarts) = tokio::select! {
            message = channel.next() => match message {
                Err(end) => return error_of(end),
                Ok(message) => {
                    let scopes = *viewer.scopes.borrow();
                    match requests.receive(&message.data, scopes) {
                        Step::Reply(reply) => (reply, false),
                        Step::Do(ticket, command) => {
                            tracing::debug!(session = %viewer.key, ?command, "asked");
                            let restarts = command == Command::Restart;
                            let done = done(Arc::clone(&all), command);
                            doing.push(async move { (ticket, done.await, restarts) });
                            continue;
                        }
                    }
                }
            },
            Some((ticket, result, restarts)) = doing.next() => (requests.done(ticket, result), restarts),
        };
        if channel.outgoing().send(Message::text(reply)).await.is_err() {
            return None;
        }
        if restarts {
            tracing::info!(session = %viewer.key, "a viewer asks for a restart");
            // Once the viewer has the answer: connections end with the process.
            channel.outgoing().flushed().await;
            all.wishes.restart.notify_one();
        }
    }
}

/// Does what is asked, in a task of its own: a viewer that leaves in the middle leaves nothing half done.
async fn done(all: Arc<Services>, command: Command) -> Result<Value, ControlError> {
    let tasks = all.tasks.clone();
    in_time(tasks.spawn(async move { perform(&all, command).await }), DONE_WITHIN).await
}

/// The task's result, if it comes so soon. It goes on in any case.
async fn in_time(task: JoinHandle<Result<Value, ControlError>>, within: Duration) -> Result<Value, ControlError> {
    match timeout(within, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ControlError::new(ErrorCode::Internal, "this is a defect, please report it with the log")),
        Err(_) => Err(ControlError::new(ErrorCode::TimedOut, "the camera takes more than 10 s")),
    }
}

async fn perform(all: &Arc<Services>, command: Command) -> Result<Value, ControlError> {
    match command {
        Command::Describe => Ok(describe(all)),
        Command::Restart => Ok(json!({})),
        Command::Controls { camera, after } => camera::controls(all, &camera, after).await,
        Command::SetControl { camera, id, value } => camera::set_control(all, &camera, id, value).await,
        Command::Settings { camera } => camera::settings(all, &camera).await,
        Command::SetSettings { camera, change } => camera::set_settings(all, &camera, change).await,
        Command::KeyFrame { camera } => camera::key_frame(all, &camera),
        Command::Mute { camera, muted } => camera::mute(all, &camera, muted).await,
        Command::Privacy { camera, private } => camera::privacy(all, &camera, private).await,
    }
}

fn describe(all: &Services) -> Value {
    let methods = Method::ALL.map(|method| json!({"name": method.name(), "scope": method.scope().name()}));
    let cameras: Vec<Value> = all.cameras.0.values().map(|camera| camera::describe(camera)).collect();
    let apps: Vec<String> = all.apps().iter().map(|app| format!("app:{}", app.name)).collect();
    json!({"version": env!("CARGO_PKG_VERSION"), "methods": methods, "cameras": cameras, "apps": apps})
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_is_told_and_goes_on_and_a_panic_is_a_defect_of_ours() {
        let (begin, begun) = oneshot::channel::<()>();
        let (finish, finished) = oneshot::channel();
        let slow = tokio::spawn(async move {
            let _ = begun.await;
            let _ = finish.send(());
            Ok(json!({}))
        });
        assert_eq!(in_time(slow, Duration::ZERO).await.expect_err("it waits").code(), 51);
        begin.send(()).expect("it waits still");
        finished.await.expect("it is brought to its end");
        let broken = tokio::spawn(async { std::future::ready(Err(ControlError::new(ErrorCode::Busy, ""))).await });
        assert_eq!(in_time(broken, DONE_WITHIN).await.expect_err("told").code(), 25);
        let lost = tokio::spawn(std::future::pending());
        lost.abort();
        assert_eq!(in_time(lost, DONE_WITHIN).await.expect_err("gone").code(), 59);
        assert_eq!(in_time(tokio::spawn(async { Ok(json!(1)) }), DONE_WITHIN).await, Ok(json!(1)));
    }
}
