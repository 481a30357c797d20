//! One publisher, many subscribers, no back-pressure: a slow one jumps to the next key frame.
