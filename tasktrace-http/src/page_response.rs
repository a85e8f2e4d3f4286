//! Builds the response with the page. Its content security policy allows only its own style and script.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::body::Body;
use super::page::{PAGE, SCRIPT, STYLE};
use super::response::{Policy, response};

/// Computes the content security policy of the page. It allows the style and the script by their hashes, so no other
/// script in the document can run.
pub(super) fn policy() -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// Returns the response with the page and its [`policy`].
pub(super) fn page_response(policy: HeaderValue) -> Response<Body> {
    let body = Body::whole(PAGE);
    let policy = Policy::Page(policy);
    response(StatusCode::OK, "text/html; charset=utf-8", &policy, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_has_the_hashes_of_script_and_style() {
        // The expected hash is the output of `printf 'alert(1)' | openssl dgst -sha256 -binary | base64`.
        assert_eq!(
            hash("alert(1)"),
            "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI="
        );
        for (element, content) in [("script", SCRIPT), ("style", STYLE)] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1);
            assert!(PAGE.contains(&format!("<{element}>{content}</{element}>")));
            let policy = policy();
            let policy = policy.to_str().unwrap();
            assert!(policy.contains(&format!("{element}-src '{}'", hash(content))));
            assert!(!policy.contains("unsafe"));
        }
    }
}
