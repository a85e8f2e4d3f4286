//! Refuses requests that pages on other sites make.
//!
//! A page on another site cannot read the answers to its requests, but it can make requests, and each request makes the
//! program capture or profile. Browsers tell the origin of a request in `Sec-Fetch-Site`, which pages cannot set. Some
//! browsers do not send that header, and none sends it over plain HTTP to names other than `localhost`. There, `Origin`
//! tells it, except for simple requests such as those for images. Clients other than browsers send neither header.

use http::{HeaderMap, HeaderName, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns `true` unless a page on another origin makes the request to `host`.
pub(super) fn is_own(headers: &HeaderMap, host: Option<&str>) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    // The value `same-site` means a page on another port, which may belong to another user.
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

/// Returns the authority of an origin and the default port of its scheme. Returns `None` for `null`, and for an origin
/// that is not an HTTP address.
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
    fn pages_of_the_same_origin_and_other_clients_may_ask() {
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
        fn other_origins_are_refused(origin in "[ -~]{0,40}") {
            prop_assume!(!origin.trim().eq_ignore_ascii_case("http://localhost:6670"));
            prop_assume!(!origin.trim().eq_ignore_ascii_case("https://localhost:6670"));
            prop_assert!(!allows(&[("origin", &origin)], HOST), "{}", origin);
        }
    }
}
