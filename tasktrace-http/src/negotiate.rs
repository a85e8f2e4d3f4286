//! Chooses the format of a response by the header `Accept`.

/// One media range of the header, such as `text/*;q=0.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MediaRange<'a> {
    kind: &'a str,
    subkind: &'a str,
    /// The quality in thousandths.
    quality: u16,
}

/// Returns the offer that the client prefers. Of two equal offers, the first is returned. An offer that a range names
/// is preferred to an offer that only a `*` covers.
///
/// Returns `None` if no offer is acceptable. If the header is empty, all offers are acceptable.
pub(super) fn choose<T: Copy>(accept: &str, offers: &[(&str, T)]) -> Option<T> {
    if accept.trim().is_empty() {
        return offers.first().map(|(_, offer)| *offer);
    }
    let mut best = None;
    for (media, offer) in offers {
        let Some(preference) = preference(accept, media) else {
            continue;
        };
        if best.is_none_or(|(most, _)| preference > most) {
            best = Some((preference, *offer));
        }
    }
    best.map(|(_, offer)| offer)
}

/// Returns the quality of a media type, and the exactness of the range that sets it. Returns `None` if the media type
/// is not acceptable.
fn preference(accept: &str, media: &str) -> Option<(u16, u8)> {
    let ranges = accept.split(',').filter_map(range);
    let covering = ranges.filter_map(|range| Some((range.covers(media)?, range.quality)));
    // The most exact range overrides the others.
    let (exactness, quality) = covering.max_by_key(|(exactness, _)| *exactness)?;
    (quality > 0).then_some((quality, exactness))
}

fn range(text: &str) -> Option<MediaRange<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subkind) = parts.next()?.split_once('/')?;
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| thousandths(value.trim()))
    });
    Some(MediaRange {
        kind,
        subkind,
        quality: quality.unwrap_or(Some(1000))?,
    })
}

/// Parses a quality such as `0.8`, with up to three digits after the point, and returns it in thousandths.
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

impl MediaRange<'_> {
    /// Returns how exactly the range names a media type: 2 for the full name, 1 for `type/*` and 0 for `*/*`. Returns
    /// `None` if it does not cover the type.
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
    fn assert_chosen(accept: &str, expected: Option<char>) {
        assert_eq!(choose(accept, &OFFERS), expected, "{accept}");
    }

    #[test]
    fn the_offer_with_the_best_quality_is_chosen() {
        assert_chosen("", Some('t'));
        assert_chosen("*/*", Some('t'));
        assert_chosen("text/html", Some('h'));
        assert_chosen("application/json, text/plain;q=0.5", Some('j'));
        assert_chosen("text/*", Some('t'));
        assert_chosen("TEXT/HTML ; Q=1", Some('h'));
        assert_chosen("application/*;q=0.1", Some('j'));
        assert_chosen("image/png", None);
        assert_chosen("nonsense", None);
    }

    #[test]
    fn browsers_get_the_page() {
        assert_chosen(
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
             image/png,image/svg+xml,*/*;q=0.8",
            Some('h'),
        );
    }

    #[test]
    fn quality_zero_excludes_an_offer() {
        assert_chosen("*/*, text/plain;q=0", Some('h'));
        assert_chosen("text/*;q=0, */*;q=0.1", Some('j'));
        assert_chosen("*/*;q=0", None);
        assert_chosen("*/*;q=0.000", None);
    }

    #[test]
    fn ranges_with_an_invalid_quality_are_ignored() {
        for quality in ["2", "1.1", "0.1234", "-0", ".5", "x", ""] {
            assert_chosen(&format!("text/html;q={quality}"), None);
        }
        for quality in ["1", "1.", "1.000", "0.001"] {
            assert_chosen(&format!("text/html;q={quality}"), Some('h'));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_headers_cause_no_panic(accept in ".*") {
            let _ = choose(&accept, &OFFERS);
        }

        #[test]
        fn the_order_of_ranges_does_not_matter(
            mut ranges in proptest::collection::vec(
                "(text|application|\\*)/(plain|html|json|\\*)(;q=0\\.[0-9]{1,3})?", 1..6,
            ),
        ) {
            // If a range occurs twice, the last one counts, so each range is used once.
            ranges.sort_by_key(|range| range.split(';').next().map(str::to_owned));
            ranges.dedup_by_key(|range| range.split(';').next().map(str::to_owned));
            let before = choose(&ranges.join(", "), &OFFERS);
            ranges.reverse();
            prop_assert_eq!(choose(&ranges.join(","), &OFFERS), before);
        }

        #[test]
        fn the_only_named_offer_is_chosen(index in 0..3_usize, quality in 1..1000_u16) {
            let (media, offer) = OFFERS[index];
            let accept = format!("{media};q=0.{quality:03}");
            prop_assert_eq!(choose(&accept, &OFFERS), Some(offer));
        }
    }
}
