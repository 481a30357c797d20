//! What viewers ask on the channels `snapshot` and `files`, and what they are told before the bytes come: pure.
//!
//! A request is one JSON text; requests of one channel are done one after the other. The answer is one JSON text, after which
//! come, where it says so, as many bytes as it says, in messages of bytes.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::{ControlError, ErrorCode};
use crate::media::{Bounded, CameraName};

/// A request on the channel `snapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StillRequest {
    /// Of this camera, or of the first.
    pub camera: Option<CameraName>,
    /// Pixels a line at most.
    pub width: Option<Bounded<16, 4096>>,
    /// Of the JPEG.
    pub quality: Option<Bounded<1, 100>>,
}

/// A request on the channel `files`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub enum FileRequest {
    /// What there is, by name.
    List {
        /// From the name after this one on.
        after: Option<FileName>,
    },
    /// The bytes of one.
    Fetch {
        /// Which.
        name: FileName,
        /// From this byte on: what came before is there already.
        #[serde(default)]
        offset: u64,
    },
    /// Takes one away.
    Delete {
        /// Which.
        name: FileName,
    },
}

/// The name of a file in the folder: one that leads nowhere else, and that is not hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// This is no name of a file here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file's name has 1 to 255 bytes, no slash and no control character, and does not begin with a dot")]
pub struct BadFileName;

/// The longest name that Linux's file systems take, in bytes.
const MAX_NAME_BYTES: usize = 255;

impl FileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FileName {
    type Error = BadFileName;

    fn try_from(name: String) -> Result<Self, BadFileName> {
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
        let leads_away = name.starts_with('.') || name.contains(['/', '\\']) || name.chars().any(char::is_control);
        if fits && !leads_away { Ok(Self(name)) } else { Err(BadFileName) }
    }
}

impl From<FileName> for String {
    fn from(FileName(name): FileName) -> Self {
        name
    }
}

/// One of the files there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its name.
    pub name: FileName,
    /// Its length.
    pub bytes: u64,
    /// When it was written last, in seconds since 1970.
    pub modified: i64,
}

/// Reads a request; what it asks for is checked, whether that is there is not.
///
/// # Errors
/// `badMessage`.
pub fn read<T: for<'de> Deserialize<'de>>(message: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(message)
        .map_err(|error| ControlError::new(ErrorCode::BadMessage, format!("this is no request: {error}")))
}

/// The answer that says why nothing was done.
pub fn refusal(why: &ControlError) -> String {
    json!({ "error": why }).to_string()
}

/// The answer that begins a picture.
pub fn still_header(camera: &CameraName, (width, height): (u32, u32), bytes: usize) -> String {
    json!({"camera": camera.as_str(), "width": width, "height": height, "bytes": bytes, "type": "image/jpeg"})
        .to_string()
}

/// The answer that begins a file's bytes from `offset` on.
pub fn file_header(file: &FileInfo, sha256: &str, offset: u64) -> String {
    let FileInfo { name, bytes, modified } = file;
    json!({"name": name, "bytes": bytes, "modified": modified, "sha256": sha256, "offset": offset}).to_string()
}

/// The answer to who has had a file deleted.
pub fn deleted(name: &FileName) -> String {
    json!({ "deleted": name }).to_string()
}

/// As much of an answer's list as leaves room for the rest of the message.
const PAGE_BYTES: usize = 15_000;

/// The answer that lists files: those after `after` that fit, by name, and the one to ask on from if there are more.
pub fn listing(mut files: Vec<FileInfo>, after: Option<&FileName>) -> String {
    files.retain(|file| after.is_none_or(|after| file.name > *after));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let mut bytes = 0;
    let fits = files.iter().take_while(|file| {
        bytes += serde_json::to_string(file).map_or(0, |text| text.len() + 1);
        bytes <= PAGE_BYTES
    });
    let count = fits.count();
    let more = count < files.len();
    files.truncate(count);
    let mut told = json!({ "files": files });
    if let Some(last) = files.last().filter(|_| more) {
        told["next"] = json!(last.name);
    }
    told.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::MAX_REPLY_BYTES;
    use super::*;

    fn name(name: &str) -> FileName {
        name.to_owned().try_into().expect("a plain name")
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let longest = "a".repeat(255);
        for good in ["a", "clip 2026-11-21 22:13.mp4", "räder.jpg", "a..b", "-rf", "a.", &longest] {
            assert_eq!(FileName::try_from(good.to_owned()).map(String::from).as_deref(), Ok(good));
        }
        let long = "a".repeat(256);
        let wide = "ä".repeat(128);
        for bad in [
            "",
            ".",
            "..",
            "../a",
            "/etc/passwd",
            "a/b",
            "a/",
            "a\\b",
            "a\0",
            "\0",
            "a\nb",
            ".hidden",
            "./a",
            &long,
            &wide,
        ] {
            assert_eq!(FileName::try_from(bad.to_owned()), Err(BadFileName), "{bad:?}");
        }
    }

    #[test]
    fn requests_are_read_strictly() {
        let ask = |text: &str| read::<FileRequest>(text.as_bytes());
        assert_eq!(ask(r#"{"do":"list"}"#), Ok(FileRequest::List { after: None }));
        assert_eq!(ask(r#"{"do":"list","after":"a","x":1}"#), Ok(FileRequest::List { after: Some(name("a")) }));
        assert_eq!(ask(r#"{"do":"fetch","name":"a"}"#), Ok(FileRequest::Fetch { name: name("a"), offset: 0 }));
        assert_eq!(
            ask(r#"{"do":"fetch","name":"a","offset":18446744073709551615}"#),
            Ok(FileRequest::Fetch { name: name("a"), offset: u64::MAX })
        );
        assert_eq!(ask(r#"{"do":"delete","name":"a"}"#), Ok(FileRequest::Delete { name: name("a") }));
        for bad in [
            "",
            "{}",
            "[]",
            "\u{0}",
            r#"{"do":"chmod","name":"a"}"#,
            r#"{"do":"fetch"}"#,
            r#"{"do":"fetch","name":".."}"#,
            r#"{"do":"fetch","name":"a\u0000"}"#,
            r#"{"do":"fetch","name":"a","offset":-1}"#,
            r#"{"do":"fetch","name":"a","offset":1.5}"#,
            r#"{"do":"delete","name":["a"]}"#,
            r#"{"do":"list","after":"/"}"#,
        ] {
            assert_eq!(ask(bad).expect_err(bad).code(), 10);
        }
        let still = |text: &str| read::<StillRequest>(text.as_bytes());
        assert_eq!(still("{}"), Ok(StillRequest { camera: None, width: None, quality: None }));
        assert!(still(r#"{"camera":"front","width":640,"quality":90}"#).is_ok());
        for bad in [r#"{"camera":"../x"}"#, r#"{"width":8}"#, r#"{"quality":0}"#, r#"{"quality":101}"#, "null", "7"] {
            assert_eq!(still(bad).expect_err(bad).code(), 10);
        }
    }

    #[test]
    fn a_list_comes_in_pages_that_fit_and_together_are_all() {
        // Characters that JSON makes twelve bytes of would not fit with fewer names.
        let all: Vec<FileInfo> = (0..500)
            .rev()
            .map(|n| FileInfo {
                name: name(&format!("{n:03}{}", "\"".repeat(252))),
                bytes: u64::MAX,
                modified: i64::MIN,
            })
            .collect();
        let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
        loop {
            let text = listing(all.clone(), after.as_ref());
            assert!(text.len() <= MAX_REPLY_BYTES, "{}", text.len());
            let told: Value = serde_json::from_str(&text).expect("JSON");
            let names = told["files"].as_array().expect("a list").iter().map(|file| file["name"].clone());
            seen.extend(names);
            pages += 1;
            match told.get("next") {
                Some(next) => after = Some(serde_json::from_value(next.clone()).expect("a name")),
                None => break,
            }
        }
        assert_eq!((seen.len(), pages > 5), (500, true));
        assert!(seen.is_sorted_by_key(|name| name.as_str().map(str::to_owned)));
        assert_eq!(listing(Vec::new(), None), r#"{"files":[]}"#);
    }

    #[test]
    fn headers_say_what_comes() {
        let camera = "main".to_owned().try_into().expect("a name");
        assert_eq!(
            still_header(&camera, (320, 180), 9),
            r#"{"bytes":9,"camera":"main","height":180,"type":"image/jpeg","width":320}"#
        );
        let file = FileInfo { name: name("a"), bytes: 9, modified: 7 };
        assert_eq!(file_header(&file, "ff", 3), r#"{"bytes":9,"modified":7,"name":"a","offset":3,"sha256":"ff"}"#);
        assert_eq!(deleted(&name("a")), r#"{"deleted":"a"}"#);
        let refused: Value =
            serde_json::from_str(&refusal(&ControlError::new(ErrorCode::NoSuchFile, "x"))).expect("JSON");
        assert_eq!(refused["error"]["code"], 80);
    }

    /// Requests and answers that the clients' tests read too.
    fn golden(text: &str) -> Vec<(Vec<u8>, Value)> {
        let all: Vec<Value> = serde_json::from_str(text).expect("JSON");
        all.into_iter().map(|one| (one["request"].to_string().into_bytes(), one["answer"].clone())).collect()
    }

    #[test]
    fn the_golden_files_are_what_is_read_and_answered() {
        let files = [("a clip.mp4", 4, 1_795_298_112), ("räder.jpg", 0, 0)].map(|(of, bytes, modified)| FileInfo {
            name: name(of),
            bytes,
            modified,
        });
        let texts = golden(include_str!("../session/golden/transfer/files.json"));
        assert_eq!(texts.len(), 5);
        for (request, answer) in texts {
            let text = match read::<FileRequest>(&request).expect("a good request") {
                FileRequest::List { after } => listing(files.to_vec(), after.as_ref()),
                FileRequest::Fetch { offset, .. } => {
                    file_header(&files[0], answer["sha256"].as_str().expect("a hash"), offset)
                }
                FileRequest::Delete { name } => deleted(&name),
            };
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), answer);
        }
        for (request, answer) in golden(include_str!("../session/golden/transfer/snapshot.json")) {
            read::<StillRequest>(&request).expect("a good request");
            let text = match answer.get("error") {
                Some(error) => {
                    refusal(&ControlError::new(ErrorCode::NoSuchCamera, error["message"].as_str().expect("text")))
                }
                None => {
                    let number = |field: &str| answer[field].as_u64().expect("a number") as u32;
                    let camera = "main".to_owned().try_into().expect("a name");
                    still_header(&camera, (number("width"), number("height")), number("bytes") as usize)
                }
            };
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), answer);
        }
    }
}
