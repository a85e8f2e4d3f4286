//! Checks the token of a request.

use std::fmt;

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;

/// A token that clients must send.
///
/// A client sends it as `Authorization: Bearer …`, or as the password of `Authorization: Basic …`, which browsers and
/// `go tool pprof http://:token@host/` support.
#[derive(Clone)]
pub(super) struct AccessToken(String);

/// The smallest number of characters of a token that is safe to use. A client that may try often can guess shorter
/// tokens.
pub(super) const MIN_LENGTH: usize = 16;

/// Base64 with or without padding, because some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl AccessToken {
    pub(super) fn new(token: String) -> Self {
        Self(token)
    }

    pub(super) fn is_short(&self) -> bool {
        self.0.len() < MIN_LENGTH
    }

    /// Returns `true` if this header contains the token.
    ///
    /// The time that this takes depends on the lengths of the two tokens, and not on their contents.
    pub(super) fn authorizes(&self, authorization: &[u8]) -> bool {
        let Some((scheme, sent)) = split(authorization, b' ') else {
            return false;
        };
        let sent = sent.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.matches(sent);
        }
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(sent) = BASE64.decode(sent)
            && let Some((_user, password)) = split(&sent, b':')
        {
            return self.matches(password);
        }
        false
    }

    fn matches(&self, sent: &[u8]) -> bool {
        // An empty token is no secret, so it matches nothing.
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(sent))
    }
}

/// Hides the token, which is a secret.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_token_is_accepted_in_both_schemes() {
        let token = AccessToken::new("open sesame".into());
        assert!(token.authorizes(b"Bearer open sesame"));
        assert!(token.authorizes(b"bearer  open sesame "));
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        assert!(token.authorizes(basic(":open sesame").as_bytes()));
        assert!(token.authorizes(basic("ops:open sesame").as_bytes()));
        let unpadded = basic("op:open sesame");
        assert!(unpadded.ends_with('='));
        assert!(token.authorizes(unpadded.trim_end_matches('=').as_bytes()));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer open",
            "Bearer open sesame!",
            "open sesame",
            "Digest open sesame",
            "Basic open sesame",
            &basic("open sesame"),
            &basic("open sesame:"),
        ] {
            assert!(!token.authorizes(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn an_empty_token_authorizes_no_request() {
        let token = AccessToken::new(String::new());
        assert!(!token.authorizes(b"Bearer "));
        assert!(!token.authorizes(b"Basic Og=="));
        assert!(token.is_short());
    }

    #[test]
    fn debug_output_hides_the_token() {
        let token = AccessToken::new("open sesame".into());
        assert!(!format!("{token:?}").contains("sesame"));
    }

    proptest! {
        #[test]
        fn arbitrary_headers_are_refused(header in proptest::collection::vec(any::<u8>(), 0..60)) {
            let token = AccessToken::new("a token that is long enough".into());
            prop_assert!(!token.authorizes(&header));
        }

        #[test]
        fn only_the_exact_token_is_accepted(token in "[!-~]{1,40}", other in "[!-~]{0,40}") {
            prop_assume!(token != other);
            let secret = AccessToken::new(token.clone());
            let bearer = |token: &str| format!("Bearer {token}");
            prop_assert!(secret.authorizes(bearer(&token).as_bytes()));
            prop_assert!(!secret.authorizes(bearer(&other).as_bytes()));
        }
    }
}
