//! Pure: key-frame requests and losses of N viewers, turned into what to encode.
