//! Which of several forms a client likes best: the header `Accept`.

/// One thing that a client accepts: `text/*;q=0.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    /// In thousandths.
    quality: u16,
}

/// The offer that is liked best, the first of those that are liked equally. An offer that is named
/// is better than one that is only covered by a `*`.
///
/// `None` if none is acceptable. Everything is to whom does not say what is.
pub(super) fn choose<T: Copy>(accept: &str, offers: &[(&str, T)]) -> Option<T> {
    if accept.trim().is_empty() {
        return offers.first().map(|(_, offer)| *offer);
    }
    let mut best = None;
    for (media, offer) in offers {
        let Some(liking) = liking(accept, media) else {
            continue;
        };
        if best.is_none_or(|(most, _)| liking > most) {
            best = Some((liking, *offer));
        }
    }
    best.map(|(_, offer)| offer)
}

/// How much a client likes this, and how exactly it has said so. `None` if not at all.
fn liking(accept: &str, media: &str) -> Option<(u16, u8)> {
    let ranges = accept.split(',').filter_map(range);
    let covering = ranges.filter_map(|range| Some((range.covers(media)?, range.quality)));
    // What is said most exactly overrides the rest.
    let (exactness, quality) = covering.max_by_key(|(exactness, _)| *exactness)?;
    (quality > 0).then_some((quality, exactness))
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subkind) = parts.next()?.split_once('/')?;
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| thousandths(value.trim()))
    });
    Some(Range {
        kind,
        subkind,
        quality: quality.unwrap_or(Some(1000))?,
    })
}

/// `0.8`, with up to three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) || part.len() > 3 {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

impl Range<'_> {
    /// How exactly it names this, if it does.
    fn covers(self, media: &str) -> Option<u8> {
        let (kind, subkind) = media.split_once('/')?;
        match (self.kind, self.subkind) {
            ("*", "*") => Some(0),
            (it, "*") if it.eq_ignore_ascii_case(kind) => Some(1),
            (it, its) if it.eq_ignore_ascii_case(kind) && its.eq_ignore_ascii_case(subkind) => {
                Some(2)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFERS: [(&str, char); 3] = [
        ("text/plain", 't'),
        ("text/html", 'h'),
        ("application/json", 'j'),
    ];

    #[track_caller]
    fn chosen(accept: &str, expected: Option<char>) {
        assert_eq!(choose(accept, &OFFERS), expected, "{accept}");
    }

    #[test]
    fn the_best_is_chosen() {
        chosen("", Some('t'));
        chosen("*/*", Some('t'));
        chosen("text/html", Some('h'));
        chosen("application/json, text/plain;q=0.5", Some('j'));
        chosen("text/*", Some('t'));
        chosen("TEXT/HTML ; Q=1", Some('h'));
        chosen("application/*;q=0.1", Some('j'));
        chosen("image/png", None);
        chosen("nonsense", None);
    }

    #[test]
    fn browsers_get_the_page() {
        chosen(
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
             image/png,image/svg+xml,*/*;q=0.8",
            Some('h'),
        );
    }

    #[test]
    fn what_is_excluded_is_not_chosen() {
        chosen("*/*, text/plain;q=0", Some('h'));
        chosen("text/*;q=0, */*;q=0.1", Some('j'));
        chosen("*/*;q=0", None);
        chosen("*/*;q=0.000", None);
    }

    #[test]
    fn what_is_no_quality_does_not_count() {
        for quality in ["2", "1.1", "0.1234", "-0", ".5", "x", ""] {
            chosen(&format!("text/html;q={quality}"), None);
        }
        for quality in ["1", "1.", "1.000", "0.001"] {
            chosen(&format!("text/html;q={quality}"), Some('h'));
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(accept in ".*") {
            let _ = choose(&accept, &OFFERS);
        }

        #[test]
        fn the_order_of_ranges_does_not_matter(
            mut ranges in proptest::collection::vec(
                "(text|application|\\*)/(plain|html|json|\\*)(;q=0\\.[0-9]{1,3})?", 1..6,
            ),
        ) {
            // Of the same range twice the last counts.
            ranges.sort_by_key(|range| range.split(';').next().map(str::to_owned));
            ranges.dedup_by_key(|range| range.split(';').next().map(str::to_owned));
            let before = choose(&ranges.join(", "), &OFFERS);
            ranges.reverse();
            prop_assert_eq!(choose(&ranges.join(","), &OFFERS), before);
        }

        #[test]
        fn what_is_named_alone_is_chosen(index in 0..3_usize, quality in 1..1000_u16) {
            let (media, offer) = OFFERS[index];
            let accept = format!("{media};q=0.{quality:03}");
            prop_assert_eq!(choose(&accept, &OFFERS), Some(offer));
        }
    }
}
