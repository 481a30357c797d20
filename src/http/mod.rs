//! Local HTTP: the page, health, metrics.

pub mod config;
