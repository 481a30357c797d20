use super::pictures::*;
use super::planes::Planes;
use openh264::encoder::*;
use openh264::{OpenH264API, Timestamp};

fn planes(frame: &crate::media::Frame) -> Planes<'_> {
    let (w, h) = (frame.format.width as usize, frame.format.height as usize);
    let d = &frame.data;
    Planes::new((w, h), (&d[..w * h], w), (&d[w * h..w * h * 5 / 4], &d[w * h * 5 / 4..], w / 2)).unwrap()
}

fn cpu() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let e: f64 = a.iter().zip(b).map(|(a, b)| { let d = f64::from(*a) - f64::from(*b); d * d }).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / e).log10()
}

#[test]
#[ignore]
fn sweep() {
    let (w, h) = (1280, 720);
    let texture = Texture::new();
    let n = 150;
    
    let texs: Vec<_> = (0..n).map(|i| texture.frame(i, w, h)).collect();
    for (name, frames) in [("texture", &texs)] {
        for (mode, mname) in [(RateControlMode::Bitrate, "bitrate"), (RateControlMode::Timestamp, "timestamp")] {
            for (lo, hi) in [(20, 51)] {
                for key_bps in [0u32, 1_200_000, 900_000, 500_000, 250_000] {
                    if matches!(mode, RateControlMode::Quality) && key_bps != 0 { continue; }
                    let bps = 2_000_000;
                    let config = EncoderConfig::new().bitrate(BitRate::from_bps(if key_bps > 0 { key_bps } else { bps })).max_frame_rate(FrameRate::from_hz(30.0))
                        .usage_type(UsageType::CameraVideoRealTime).complexity(Complexity::Low).rate_control_mode(mode).skip_frames(true)
                        .scene_change_detect(false).profile(Profile::Baseline).qp(QpRange::new(lo, hi)).num_threads(1).vui(VuiConfig::bt601());
                    let mut enc = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
                    let mut dec = openh264::decoder::Decoder::new().unwrap();
                    let (mut sizes, mut keys, mut skips, mut ms, mut p, mut init) = (vec![], vec![], 0, 0.0, vec![], 0.0);
                    let mut first_ps = 0.0;
                    for (i, f) in frames.iter().enumerate() {
                        let key = i == 0 || i == 75 || i == 100;
                        if key && i > 0 { enc.force_intra_frame(); if key_bps > 0 { crate::sys::set_openh264_bitrate(&mut enc, key_bps, bps).unwrap(); } }
                        let t = cpu();
                        let out = enc.encode_at(&planes(f), Timestamp::from_millis(f.captured.as_nanos() / 1_000_000)).unwrap();
                        let dt = cpu() - t;
                        if i == 0 { init = dt } else { ms += dt }
                        let data = out.to_vec();
                        let ty = out.frame_type();
                        if ty == FrameType::Skip { skips += 1; }
                        if ty == FrameType::IDR { keys.push((i, data.len())); }
                        sizes.push(data.len());
                        if key && key_bps > 0 { crate::sys::set_openh264_bitrate(&mut enc, bps, bps).unwrap(); }
                        if !data.is_empty() { if let Ok(Some(y)) = dec.decode(&data) {
                            use openh264::formats::YUVSource;
                            let s = y.strides().0;
                            let a: Vec<u8> = (0..h).flat_map(|r| y.y()[r*s..r*s+w].to_vec()).collect();
                            let q = psnr(&a, &f.data[..w*h]); if i == 0 { first_ps = q; } p.push(q);
                        } }
                    }
                    let kbps = sizes.iter().sum::<usize>() as f64 * 8.0 * 30.0 / n as f64 / 1000.0;
                    let after: Vec<usize> = sizes[1..6].to_vec();
                    let max_p = sizes.iter().enumerate().filter(|(i, _)| !keys.iter().any(|k| k.0 == *i)).map(|x| *x.1).max().unwrap();
                    eprintln!("{name:8} {mname:9} qp {lo}-{hi} key@{key_bps:7}: keys {keys:?} kbps {kbps:.0} skips {skips} ms {:.2} first {init:.1} ms  psnr {:.2} first {first_ps:.2} min {:.2} maxP {max_p} after {after:?}", ms / (n - 1) as f64, p.iter().sum::<f64>() / p.len() as f64, p.iter().cloned().fold(99.0, f64::min));
                }
            }
        }
    }
}
