//! `camera-node devices`: what could be captured from, and played to.

use std::process::ExitCode;

use super::out;
use crate::capture::devices::{
    Camera, CameraControl, CameraFormat, CameraSize, DeviceKind, Devices, SoundDevice, devices,
};

/// Options of `devices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Lists the devices.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = devices();
    if args.json {
        out::json(&found)?;
    } else {
        out::line(&text(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// For people: what goes into the config stands first on each line.
fn text(found: &Devices) -> String {
    let mut lines = vec!["Cameras (camera.video.device)".to_owned()];
    lines.extend(found.cameras.iter().flat_map(camera));
    if found.cameras.is_empty() {
        lines.push("  none; `source = \"auto\"` shows the test pattern instead".to_owned());
    }
    for (kind, title, without) in [
        (
            DeviceKind::AudioInput,
            "Microphones (camera.audio.device)",
            "  none; `source = \"auto\"` sends a tone instead",
        ),
        (DeviceKind::AudioOutput, "Speakers (camera.speaker.device)", "  none; viewers cannot be heard"),
    ] {
        lines.extend([String::new(), title.to_owned()]);
        let of_kind: Vec<&SoundDevice> = found.sound.iter().filter(|device| device.kind == kind).collect();
        lines.extend(of_kind.iter().map(|device| format!("  {}  {}", device.id, device.label)));
        if of_kind.is_empty() {
            lines.push(without.to_owned());
        }
    }
    lines.join("\n")
}

fn camera(camera: &Camera) -> Vec<String> {
    let h264 = if camera.delivers_h264 { ", delivers H.264" } else { "" };
    let mut lines = vec![
        format!("  {}  {}", camera.id, camera.label),
        format!("      now {}, driver {}, at {}{h264}", camera.path.display(), camera.driver, camera.bus),
    ];
    lines.extend(camera.formats.iter().flat_map(format_lines));
    if !camera.controls.is_empty() {
        let controls: Vec<String> = camera.controls.iter().map(control).collect();
        lines.push(format!("      controls: {}", controls.join(", ")));
    }
    lines
}

fn format_lines(format: &CameraFormat) -> Vec<String> {
    let usable = if format.usable { "" } else { ", not usable here" };
    let mut lines = vec![format!("      {} ({}{usable})", format.fourcc, format.description)];
    // How a camera lists its sizes is nobody's wish to read when it cannot be used.
    if format.usable {
        lines.extend(format.sizes.iter().map(|size| format!("          {}", self::size(size))));
    }
    lines
}

fn size(size: &CameraSize) -> String {
    let range = size.up_to.map(|[width, height, ..]| format!(" to {width}x{height}")).unwrap_or_default();
    // 30 and 29.97 are both common: two digits, and none where they are zero.
    let rates: Vec<String> = size
        .rates
        .iter()
        .map(|rate| format!("{:.2}", rate.fps).trim_end_matches('0').trim_end_matches('.').to_owned())
        .collect();
    let rates = if rates.is_empty() { String::new() } else { format!(" at {} fps", rates.join(", ")) };
    format!("{}x{}{range}{rates}", size.width, size.height)
}

fn control(control: &CameraControl) -> String {
    let value = control.value.map(|value| format!(" = {value}")).unwrap_or_default();
    match control.kind {
        "integer" => format!("{}{value} ({} to {})", control.name, control.minimum, control.maximum),
        _ => format!("{}{value}", control.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::devices::Rate;

    #[test]
    fn each_list_names_the_key_that_its_names_go_into() {
        let speaker = SoundDevice {
            kind: DeviceKind::AudioOutput,
            id: "plughw:CARD=Jabra,DEV=0".to_owned(),
            label: "Jabra".to_owned(),
            card: "Jabra".to_owned(),
            device: 0,
        };
        let text = text(&Devices { cameras: Vec::new(), sound: vec![speaker] });
        for heading in
            ["Cameras (camera.video.device)", "Microphones (camera.audio.device)", "Speakers (camera.speaker.device)"]
        {
            assert!(text.contains(heading), "{text}");
        }
        assert!(text.ends_with("Speakers (camera.speaker.device)\n  plughw:CARD=Jabra,DEV=0  Jabra"), "{text}");
    }

    #[test]
    fn a_camera_is_told_to_programs_and_to_people() {
        let text_of = |text: &str| text.to_owned();
        let rates =
            vec![Rate { fps: 30_000.0 / 1_001.0, interval: [1_001, 30_000] }, Rate { fps: 15.0, interval: [1, 15] }];
        let sizes = vec![CameraSize { width: 1280, height: 720, up_to: None, rates }];
        let control = CameraControl {
            id: 0x98_0900,
            name: text_of("Brightness"),
            kind: "integer",
            minimum: 0,
            maximum: 255,
            step: 1,
            default: 128,
            value: Some(130),
            items: Vec::new(),
            read_only: false,
        };
        let camera = Camera {
            kind: DeviceKind::VideoInput,
            id: text_of("usb-Acme_Eye-video-index0"),
            label: text_of("Acme Eye"),
            path: "/dev/video2".into(),
            driver: text_of("uvcvideo"),
            bus: text_of("usb-1.2"),
            delivers_h264: true,
            formats: vec![CameraFormat { fourcc: text_of("H264"), description: text_of("H.264"), usable: true, sizes }],
            controls: vec![control],
        };
        let json = serde_json::to_value(&camera).expect("JSON");
        let expected = serde_json::json!({
            "kind": "videoinput", "id": "usb-Acme_Eye-video-index0", "label": "Acme Eye", "path": "/dev/video2",
            "driver": "uvcvideo", "bus": "usb-1.2", "deliversH264": true,
            "formats": [{
                "fourcc": "H264", "description": "H.264", "usable": true,
                "sizes": [{
                    "width": 1280, "height": 720,
                    "rates": [{ "fps": 30_000.0 / 1_001.0, "interval": [1001, 30000] }, { "fps": 15.0, "interval": [1, 15] }],
                }],
            }],
            "controls": [{
                "id": 0x98_0900, "name": "Brightness", "kind": "integer", "minimum": 0, "maximum": 255, "step": 1,
                "default": 128, "value": 130, "readOnly": false,
            }],
        });
        assert_eq!(json, expected);
        let text = text(&Devices { cameras: vec![camera], sound: Vec::new() });
        for line in [
            "  usb-Acme_Eye-video-index0  Acme Eye",
            "      now /dev/video2, driver uvcvideo, at usb-1.2, delivers H.264",
            "          1280x720 at 29.97, 15 fps",
            "      controls: Brightness = 130 (0 to 255)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
