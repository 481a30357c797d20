//! What a machine may lack that a test needs. Included by the library's tests too.

use std::path::Path;

/// Set by `tests/run`, which has installed every program and tried every right: the rights that are lacking here. With it, no
/// test leaves itself out for anything else.
const LACKING: &str = "CAMERA_NODE_TESTS_LACK";

/// Whether this file of another package is here; says so if not.
pub fn is_installed(file: &str) -> bool {
    let is_installed = Path::new(file).exists();
    if !is_installed {
        left_out_for(file);
    }
    is_installed
}

/// Says that a test is left out for want of `what`: a program, or a right in the words of `tests/rings/tools`.
///
/// # Panics
/// Under `tests/run`, if that is not known to be lacking: cargo would count the test as passed.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn left_out_for(what: &str) {
    assert!(!must_be_here(what, std::env::var(LACKING).ok().as_deref()), "tests/run has seen to it: {what}");
    eprintln!("skipped: lacking here: {what}");
}

/// Whether nobody who knows what is lacking knows of this.
fn must_be_here(what: &str, lacking: Option<&str>) -> bool {
    lacking.is_some_and(|lacking| !lacking.split(' ').any(|known| known == what))
}

#[test]
fn a_test_leaves_itself_out_for_what_is_known_to_be_lacking_or_where_nobody_has_looked() {
    assert!(must_be_here("mounts", Some("")) && must_be_here("mounts", Some("network-namespaces")));
    assert!(!must_be_here("mounts", Some("network-namespaces mounts")) && !must_be_here("mounts", None));
}
