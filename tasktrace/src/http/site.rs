//! Which pages ask.
//!
//! A page from elsewhere cannot read what is answered to its requests, but it can make them, and each has
//! the program capture or profile. Browsers say who asks: in `Sec-Fetch-Site`, which pages cannot set, and
//! where that is not known or not sent, which is over plain HTTP to other names than `localhost`, in
//! `Origin`, with requests that are not as simple as those for images. What is no browser sends neither.

use http::{HeaderMap, HeaderName, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns `true` unless a page from another origin asks `host`.
pub(super) fn is_own(headers: &HeaderMap, host: Option<&str>) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    // `same-site` is a page of another port, which can be anybody's.
    let is_own_site = sites.all(|site| {
        let site = site.as_bytes().trim_ascii();
        [&b"same-origin"[..], b"none"].contains(&site)
    });
    let mut origins = headers.get_all(header::ORIGIN).iter();
    is_own_site
        && origins.all(|origin| {
            let origin = origin.to_str().ok().and_then(authority);
            origin.is_some_and(|origin| host.is_some_and(|host| is_same(origin, host)))
        })
}

/// The name and the port of an origin, and its usual port. `None` of `null`, and of what is no address of
/// HTTP.
fn authority(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.trim().split_once("://")?;
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    Some((authority, port))
}

fn is_same((authority, port): (&str, &str), host: &str) -> bool {
    let without = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !authority.is_empty() && without(authority) == without(host)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn allows(pairs: &[(&'static str, &str)], host: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        is_own(&headers, host)
    }

    const HOST: Option<&str> = Some("localhost:6670");

    #[test]
    fn pages_of_the_same_origin_and_no_pages_may_ask() {
        for pairs in [
            &[][..],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "http://localhost:6670")],
            &[("origin", "http://LOCALHOST:6670")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://localhost:6670"),
            ],
        ] {
            assert!(allows(pairs, HOST), "{pairs:?}");
        }
        for (origin, host) in [
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("https://ops.example.com", "ops.example.com"),
            ("https://ops.example.com", "ops.example.com:443"),
            ("http://[::1]:6670", "[::1]:6670"),
        ] {
            assert!(allows(&[("origin", origin)], Some(host)), "{origin}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for pairs in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "Same-Origin")],
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://evil.example"),
            ],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://")],
            &[("origin", "http://localhost")],
            &[("origin", "http://localhost:6671")],
            &[("origin", "http://localhost:66700")],
            &[("origin", "http://localhost.evil.example:6670")],
            &[("origin", "http://evil.example@localhost:6670")],
            &[("origin", "file://localhost:6670")],
            &[("origin", "http://127.0.0.1:6670")],
            &[
                ("origin", "http://localhost:6670"),
                ("origin", "http://evil.example"),
            ],
        ] {
            assert!(!allows(pairs, HOST), "{pairs:?}");
        }
        assert!(!allows(&[("origin", "http://localhost")], None));
    }

    proptest! {
        #[test]
        fn no_other_origin_is_taken_for_ours(origin in "[ -~]{0,40}") {
            prop_assume!(!origin.trim().eq_ignore_ascii_case("http://localhost:6670"));
            prop_assume!(!origin.trim().eq_ignore_ascii_case("https://localhost:6670"));
            prop_assert!(!allows(&[("origin", &origin)], HOST), "{}", origin);
        }
    }
}
