//! Pictures for `GET /snapshot.jpg`: the session core says who may see, as for a session, and the camera is asked beside it.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::encode::StillWish;
use crate::http::{NoPicture, Photographer, PictureAsked};
use crate::session::{AccessMode, ErrorCode, Failure};

use super::feeds::Cameras;
use super::stills::NoStill;

/// Questions that wait for the desk.
const QUESTIONS: usize = 16;

/// Whether who has this token may see.
pub struct Question {
    /// The token that came along.
    pub token: Option<String>,
    /// Who waits for the answer.
    pub answer: oneshot::Sender<Result<AccessMode, Failure>>,
}

/// The way of questions to the desk.
pub type Questions = mpsc::Sender<Question>;

/// A way of questions, and its end at the desk.
pub fn questions() -> (Questions, mpsc::Receiver<Question>) {
    mpsc::channel(QUESTIONS)
}

/// Takes the pictures.
pub struct Studio {
    /// The cameras there are.
    pub cameras: Cameras,
    /// To whom a question goes.
    pub questions: Questions,
    /// Whether the broker lets in whoever can reach it: where no token is needed, it is the broker that says who may see.
    pub is_open_to_all: bool,
}

#[async_trait]
impl Photographer for Studio {
    async fn picture(&self, asked: PictureAsked) -> Result<Bytes, NoPicture> {
        let PictureAsked { camera, width, token, is_from_here } = asked;
        let access = self.ask(token).await?;
        if access == AccessMode::Open && !self.is_open_to_all && !is_from_here {
            let why = "without tokens this is for programs of the node's own machine: set [access] mode = \"token\"";
            return Err(NoPicture::NotAllowed(why.to_owned()));
        }
        let camera = match &camera {
            Some(name) => self.cameras.0.values().find(|camera| camera.name().as_str() == name),
            None => self.cameras.0.values().next(),
        };
        let camera = camera.ok_or_else(|| NoPicture::NoSuchCamera("there is no camera of this name".to_owned()))?;
        match camera.still(StillWish { width, ..StillWish::FULL }).await {
            Ok(still) => Ok(still.jpeg),
            Err(why @ (NoStill::Shut(_) | NoStill::Away(_) | NoStill::Failed(_) | NoStill::TimedOut)) => {
                Err(NoPicture::NotNow(why.to_string()))
            }
            Err(NoStill::Unsupported(why)) => Err(NoPicture::NotNow(why)),
        }
    }
}

impl Studio {
    async fn ask(&self, token: Option<String>) -> Result<AccessMode, NoPicture> {
        let stopping = || NoPicture::NotNow("the node is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { token, answer }).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?.map_err(|failure| no_picture(&failure))
    }
}

fn no_picture(failure: &Failure) -> NoPicture {
    let message = failure.message.as_str().to_owned();
    match failure.known() {
        Some(ErrorCode::TokenMissing) => {
            NoPicture::NoToken(format!("{message} Send it as Authorization: Bearer TOKEN."))
        }
        Some(ErrorCode::RateLimited) => NoPicture::TooMany(failure.retry_after.unwrap_or(1)),
        Some(ErrorCode::Busy) => NoPicture::NotNow(message),
        _ => NoPicture::NotAllowed(message),
    }
}
