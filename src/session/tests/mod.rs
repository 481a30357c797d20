//! What no single file of the session can be asked: the golden files, and whole conversations in virtual time.

mod golden;
mod reference;
mod schema;
mod simulated;
