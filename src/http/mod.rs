//! Local HTTP: the page, health, metrics.
