//! A camera's own controls as a viewer sees them, in pages that fit into a message.

use crate::sys::Control;

/// As much of a reply's list as leaves room for the rest of the message.
const PAGE_BYTES: usize = 12_288;

/// The controls with ids above `after` that fit into one reply, and the id to ask on from if there are more.
pub fn page(controls: Vec<Control>, after: u32) -> (Vec<Control>, Option<u32>) {
    let mut controls: Vec<Control> = controls.into_iter().filter(|control| control.id > after).collect();
    controls.sort_by_key(|control| control.id);
    let mut bytes = 0;
    let fits = controls.iter().take_while(|control| {
        bytes += serde_json::to_string(control).map_or(0, |text| text.len() + 1);
        bytes <= PAGE_BYTES
    });
    // A single one that is too long is left to the limit on replies.
    let count = fits.count().max(1).min(controls.len());
    let more = count < controls.len();
    controls.truncate(count);
    let next = controls.last().filter(|_| more).map(|control| control.id);
    (controls, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{ControlKind, MenuItem};

    fn control(id: u32, items: u32) -> Control {
        Control {
            id,
            name: format!("control {id}"),
            kind: ControlKind::Menu,
            minimum: 0,
            maximum: i64::from(items),
            step: 1,
            default: 0,
            value: Some(0),
            items: (0..items).map(|value| MenuItem { value, name: format!("item {value}") }).collect(),
            read_only: false,
            inactive: false,
        }
    }

    #[test]
    fn all_controls_come_page_by_page_each_once_and_each_page_fits() {
        let all: Vec<_> = (1..=200).map(|id| control(id, id % 20)).collect();
        let (mut seen, mut after, mut pages) = (Vec::new(), 0, 0);
        loop {
            let (page, next) = page(all.clone(), after);
            assert!(serde_json::to_string(&page).expect("plain data").len() <= PAGE_BYTES + 2);
            seen.extend(page.into_iter().map(|control| control.id));
            pages += 1;
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(seen, (1..=200).collect::<Vec<_>>());
        assert!(pages > 2, "{pages}");
        assert_eq!(page(Vec::new(), 0), (Vec::new(), None));
        assert_eq!(page(vec![control(7, 3_000)], 0).1, None, "one that fits nowhere is no endless loop");
    }
}
