//! Talkback over real sockets: `watch --talk` says a tone, and the node's speaker is a file.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::Stdio;

use camera_node::node::State;
use camera_node::playback::config::{SinkKind, Speaker};
use tokio::process::Command;

use crate::SOON;
use crate::demand::metrics;
use crate::stage::{SMALL, Stage, Watch, eventually, place};
use crate::tokens::{BINARY, key, printed};

const HZ: f64 = 1_000.0;
/// What a gap may be.
const GAP_MS: usize = 60;
/// What has to be without a longer one. That 30 s are is held in virtual time, in `playback`: here other programs may take
/// the processor for longer than sound can wait.
const STRETCH_S: f64 = 8.0;

/// A WAV file of a second of the tone.
pub fn write_tone(path: &Path) {
    let samples = (0..48_000_u32).map(|n| ((TAU * HZ * f64::from(n) / 48_000.0).sin() * 8_000.0) as i16);
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let bytes = u32::try_from(data.len()).expect("a second");
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(data);
    std::fs::write(path, wav).expect("a temporary folder can be written");
}

/// What a speaker's file holds, from the tone's beginning to its end.
#[derive(Debug)]
struct Heard {
    seconds: f64,
    /// The longest time without a gap of more than [`GAP_MS`].
    stretch_s: f64,
    hz: f64,
}

impl Heard {
    fn in_file(path: &Path) -> Self {
        const BLOCK: usize = 240;
        let bytes = std::fs::read(path).expect("the speaker's file");
        let samples: Vec<i16> = bytes[44..].chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
        let is_loud =
            |block: &[i16]| block.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / block.len() as f64 > 4e6;
        let blocks: Vec<bool> = samples.chunks_exact(BLOCK).map(is_loud).collect();
        let first = blocks.iter().position(|loud| *loud).unwrap_or_default();
        let last = blocks.iter().rposition(|loud| *loud).unwrap_or_default();
        let said = &blocks[first..=last];
        let (mut crossings, mut counted, mut quiet, mut stretch, mut longest) = (0_u32, 0_u32, 0, 0, 0);
        for (n, loud) in said.iter().enumerate() {
            quiet = if *loud { 0 } else { quiet + 5 };
            stretch = if quiet > GAP_MS { 0 } else { stretch + 5 };
            longest = longest.max(stretch);
            if *loud && said.get(n + 1).is_some_and(|next| *next) {
                // With the next one's first sample: the tone has five periods in a block, and may cross on its border each time.
                let block = &samples[(first + n) * BLOCK..][..=BLOCK];
                crossings += block.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count() as u32;
                counted += BLOCK as u32;
            }
        }
        Self {
            seconds: said.len() as f64 * 0.005,
            stretch_s: f64::from(longest as u32) / 1_000.0,
            hz: f64::from(crossings) * 48_000.0 / f64::from(counted.max(1)),
        }
    }

    fn is_good(&self) -> bool {
        self.stretch_s >= STRETCH_S && (self.hz - HZ).abs() < HZ / 100.0
    }
}

/// A demo and somebody who talks to it for `seconds`, in a network of their own that loses `percent` of what it carries.
async fn talk_in_a_network_that_loses(percent: u32, seconds: u32) -> Heard {
    const SCRIPT: &str = r#"
        ip link set lo up || exit
        nft "add table inet t; add chain inet t in { type filter hook input priority 0; };
             add rule inet t in meta l4proto udp numgen random mod 100 < $4 drop" || exit
        "$0" demo --config "$1" --mqtt-port 1883 --ws-port 0 --http-port 0 >/dev/null 2>"$2" &
        "$0" watch --json --no-decode --node stage --broker mqtt://127.0.0.1:1883 --talk "$3" --seconds "$5"
        kill -INT $! && wait $!
    "#;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| folder.path().join(name);
    write_tone(&path("tone.wav"));
    let speaker = format!("[camera.speaker]\nsink = \"file\"\nfile = \"{}\"\n", path("heard.wav").display());
    std::fs::write(path("node.toml"), format!("{SMALL}{speaker}")).expect("written");
    let child = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", SCRIPT, env!("CARGO_BIN_EXE_camera-node")])
        .args([path("node.toml"), path("log"), path("tone.wav")])
        .args([percent.to_string(), seconds.to_string()])
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("unshare is part of every Debian");
    let seen = Watch::of(child).report().await;
    assert!(seen.frames > 0, "{seen:?}");
    Heard::in_file(&path("heard.wav"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tone_is_heard_at_its_pitch_and_without_a_gap_on_a_clean_and_on_a_lossy_link() {
    let _place = place().await;
    for percent in [0, 3] {
        let mut tries = Vec::new();
        // A wrong pitch is wrong each time; a machine that stands still now and then breaks the tone, and is given more tries.
        while tries.len() < 5 && !tries.last().is_some_and(Heard::is_good) {
            tries.push(talk_in_a_network_that_loses(percent, 12).await);
        }
        assert!(tries.last().is_some_and(Heard::is_good), "{percent} % lost: {tries:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_speaker_is_open_while_somebody_talks_and_the_delay_is_counted() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (tone, heard) = (folder.path().join("tone.wav"), folder.path().join("heard.wav"));
    write_tone(&tone);
    let stage = Stage::with(|config| {
        config.camera[0].speaker = Speaker { sink: SinkKind::File, file: heard.clone(), ..Speaker::default() };
    })
    .await;
    let speaker = || stage.node().conditions().get("speaker:main").map(|speaker| speaker.state);
    eventually("nobody talks, so it is closed", SOON, || speaker() == Some(State::Idle)).await;

    let listener = Watch::start(&stage, &[]);
    eventually("somebody watches", SOON, || stage.viewers() == 1).await;
    assert_eq!(speaker(), Some(State::Idle), "who only watches is not heard");
    let talker = Watch::start(&stage, &["--talk", tone.to_str().expect("a plain path")]);
    eventually("it is open", SOON, || speaker() == Some(State::Live)).await;
    let size = || std::fs::metadata(&heard).map_or(0, |file| file.len());
    eventually("a second of it is played", SOON, || size() > 44 + 96_000).await;
    let mut text = String::new();
    let counted = async {
        while !COUNTED.iter().all(|name| is_count_of_many(&text, name)) {
            text = metrics(stage.node()).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("packets were heard");

    talker.interrupt();
    let said = talker.report().await;
    assert!(said.frames > 0 && said.talk_heard == Some(true), "{said:?}");
    eventually("nobody talks any more", SOON, || speaker() == Some(State::Idle)).await;
    assert!(Heard::in_file(&heard).seconds > 0.3, "{:?}", Heard::in_file(&heard));
    listener.interrupt();
    listener.report().await;
    stage.stop().await;
}

/// A node that asks for tokens and has a speaker, and a way to make tokens for it.
struct Guarded {
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let section = key(folder.path(), "k", "EdDSA").await;
        let file = folder.path().join("heard.wav");
        let speaker = format!("[camera.speaker]\nsink = 'file'\nfile = {file:?}\n");
        let stage = Stage::start(&format!("{speaker}[access]\nmode = 'token'\n{section}")).await;
        Self { stage, folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a plain path").to_owned()
    }

    /// Writes a token that allows this into the file that viewers read.
    async fn allow(&self, scope: &str) {
        let key = self.at("k.private.pem");
        let made = ["token", "--key", &key, "--node", "stage", "--peer", "watch-*", "--for", "1h", "--scope", scope];
        let token = printed(BINARY, &made).await;
        // Whole at once: the viewer may look at any moment.
        std::fs::write(self.at("new"), token)
            .and_then(|()| std::fs::rename(self.at("new"), self.at("token")))
            .expect("room");
    }

    fn talker(&self, options: &[&str]) -> tokio::process::Child {
        let token = self.at("token");
        let mut watch = Watch::command(&self.stage, &["--talk", "tone", "--token-file", &token]);
        watch.args(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    fn speaker(&self) -> Option<State> {
        self.stage.node().conditions().get("speaker:main").map(|speaker| speaker.state)
    }

    async fn is_heard(&self) {
        let size = || std::fs::metadata(self.at("heard.wav")).map_or(0, |file| file.len());
        eventually("the speaker is open", SOON, || self.speaker() == Some(State::Live)).await;
        let before = size();
        eventually("half a second more is played", SOON, || size() > before + 48_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_and_talks_is_heard_until_a_new_token_takes_that_right() {
    let guarded = Guarded::start().await;
    guarded.allow("view").await;
    let refused = guarded.talker(&[]).wait_with_output().await.expect("it ran");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(why.contains("The token lacks the scope: talk."), "{why}");

    for ways in [&["--call"][..], &[]] {
        guarded.allow("view,talk").await;
        let talker = guarded.talker(ways);
        guarded.is_heard().await;
        guarded.allow("view").await;
        let ended =
            tokio::time::timeout(SOON, talker.wait_with_output()).await.expect("it is shown out").expect("it ran");
        let why = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{why}");
        assert!(why.contains("The token lacks the scope: talk."), "{why}");
        eventually("nobody is heard", SOON, || guarded.speaker() == Some(State::Idle)).await;
        eventually("nobody is sent anything", SOON, || guarded.stage.viewers() == 0).await;
    }
    guarded.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_talks_to_a_node_without_a_speaker_is_told() {
    let stage = Stage::start("").await;
    let talk = Watch::command(&stage, &["--talk", "tone", "--seconds", "1"]).output().await.expect("the binary runs");
    assert_eq!(talk.status.code(), Some(1), "nobody heard it");
    let said: serde_json::Value = serde_json::from_slice(&talk.stdout).expect("JSON");
    assert_eq!(said["talk_heard"], false, "{said}");
    assert!(said["frames"].as_u64() > Some(0), "the pictures came all the same: {said}");
    let silent = Watch::start(&stage, &["--seconds", "1"]).report().await;
    assert_eq!(silent.talk_heard, None);
    stage.stop().await;
}

/// Each packet that is heard counts in both.
const COUNTED: [&str; 2] = [
    "camera_node_talk_seconds_count{camera=\"main\"} ",
    "camera_node_talk_packets_total{camera=\"main\",fate=\"played\"} ",
];

fn is_count_of_many(text: &str, name: &str) -> bool {
    let count = text.lines().find_map(|line| line.strip_prefix(name));
    count.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 25)
}
