//! One WebRTC connection a viewer. The only place that knows the crate `webrtc`.
