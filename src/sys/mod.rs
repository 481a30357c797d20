//! The only `unsafe`: thin safe wrappers over V4L2 ioctls and memory mapping.
