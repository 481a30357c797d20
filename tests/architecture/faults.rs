//! The table of faults says of each row which test proves it: that test is there, in a ring that is run.

use std::path::Path;

use super::{assert_kept, root};

const TABLE: &str = include_str!("../../deploy/faults.md");

#[test]
fn each_fault_names_a_test_that_is_there_and_the_ring_that_runs_it() {
    assert!(rows(TABLE).count() >= 20, "the table is read");
    assert_kept(unproven(TABLE));
}

#[test]
fn the_rule_of_faults_sees_a_row_without_a_proof() {
    let row = |proof: &str| {
        format!(
            "| fault | part, state | see | heals | long | proof |\n|---|---|---|---|---|---|\n| a | b | c | d | e | {proof} |"
        )
    };
    for bad in [
        "",
        "by eye",
        "`unit` node::state::tests::no_such_test",
        "`unit` node::no_such_module",
        "`node` faults::no_such_test",
        "`vm` on_device::v4l2::no_such_test…",
        "`vm` nowhere.test.mjs",
        "`vm` camera.test.mjs: what it has no test of",
        "`moon` camera.test.mjs",
        "`unit` nowhere.test.ts",
        "`vm` camera.test.mjs; `node` faults::no_such_test",
    ] {
        assert!(!unproven(&row(bad)).is_empty(), "not seen: {bad}");
    }
    for good in [
        "`unit` node::state::each_error_has_its_state",
        "`unit` signalling::backoff",
        "`node` faults::a_camera_that_goes…",
        "`vm` on_device::v4l2::held_frames…; `vm` camera.test.mjs",
        "`browser` faults.test.mjs: a viewer is told that the camera is away",
        "`board` life.test.mjs: its camera is pulled out and put back",
    ] {
        assert_kept(unproven(&row(good)));
    }
}

/// The fault and the proof of each row.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let of_faults = |line: &&str| line.starts_with("| ") && line.matches('|').count() == 7;
    table.lines().filter(of_faults).skip(1).filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        Some((cells.next()?, cells.next_back()?))
    })
}

fn unproven(table: &str) -> Vec<String> {
    rows(table)
        .flat_map(|(fault, proof)| proof.split(';').map(move |item| (fault, item.trim())))
        .filter(|(_, item)| !is_there(item).unwrap_or(false))
        .map(|(fault, item)| format!("deploy/faults.md: {fault}: no such test: {item:?}"))
        .collect()
}

/// Whether `item`, as `` `ring` test ``, names a test of that ring; a name may be cut short by `…`.
fn is_there(item: &str) -> Option<bool> {
    let (ring, test) = item.strip_prefix('`')?.split_once("` ")?;
    let run = read(Path::new("tests/run"));
    if !run.contains(&format!("ring_{ring}() {{")) {
        return Some(false);
    }
    if let Some((file, title)) = test.split_once(".test.mjs") {
        let path = format!("tests/{ring}/{file}.test.mjs");
        let title = title.trim_start_matches(':').trim().trim_end_matches('…');
        return Some(script(Path::new(&path)).is_some_and(|text| text.contains(title)));
    }
    if test.ends_with(".test.ts") {
        return Some(ring == "unit" && root().join("src/viewer/test").join(test).is_file());
    }
    let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
    let module = module.replace("::", "/");
    Some(match ring {
        "unit" => has_test(&format!("src/{module}"), name) || has_test(&format!("src/{module}/{name}"), ""),
        "node" => has_test(&format!("tests/node/{module}"), name),
        // Those that need a device are run in a guest; `on_device` has a module for each kind.
        "vm" if name == "on_device" => has_test(&format!("src/{module}/on_device"), ""),
        "vm" => module.starts_with("on_device") && has_test("src/capture/on_device", name),
        _ => false,
    })
}

/// Whether there is a test that begins with `name` in `stem.rs`, or anywhere in the folder `stem`.
fn has_test(stem: &str, name: &str) -> bool {
    let name = name.strip_suffix('…').map_or_else(|| format!("{name}("), str::to_owned);
    let name = if name == "(" { String::new() } else { name };
    let has_tests = |text: &str| text.contains("#[test]") || text.contains("#[tokio::test");
    let has = |text: &str| has_tests(text) && text.contains(&format!("fn {name}"));
    let folder = std::fs::read_dir(root().join(stem)).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = folder.chain([root().join(format!("{stem}.rs"))]);
    files.into_iter().any(|path| std::fs::read_to_string(path).is_ok_and(|text| has(&text)))
}

/// A script and those of ours that it imports, in one.
fn script(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(root().join(path)).ok()?;
    let imported = text.lines().filter_map(|line| line.split_once(" from '.")?.1.strip_suffix("';"));
    let beside = |name: &str| std::fs::read_to_string(root().join(path.parent()?).join(format!(".{name}"))).ok();
    let others: Vec<String> = imported.filter_map(beside).collect();
    Some([text, others.concat()].concat())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
