//! Text inventories: what is loaded is consistent, can be written and read again, and doesn't depend
//! on how lines end or on what says nothing.

use super::inventory::{check_variants, check_written, load, shown};
use super::weight::{self, MOST_NAMES};

/// The extension makes it a text, whatever it looks like.
const NAME: &str = "fleet.ini";

/// Checks all that is promised of `data` as a text inventory.
pub(crate) fn check(data: &[u8]) {
    if weight::names(&String::from_utf8_lossy(data)) > MOST_NAMES {
        return;
    }
    let loaded = load(NAME, data);
    let expected = shown(&loaded);
    let also = |bytes: &[u8]| assert_eq!(shown(&load(NAME, bytes)), expected);
    check_variants(NAME, data, &loaded);
    if let Ok(text) = str::from_utf8(data)
        && !text.contains('\r')
    {
        also(text.replace('\n', "\r\n").as_bytes());
        also(text.replace('\n', "\r").as_bytes());
    }
    also(&[data, b"\n# a comment\n ; another\n\n"].concat());
    if let Ok(inventory) = &loaded {
        check_written(inventory);
    }
}
