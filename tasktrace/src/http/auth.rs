//! Who may ask: whoever has the token.

use std::fmt;

use subtle::ConstantTimeEq;

use super::base64;

/// What a client has to show.
///
/// It is shown as `Authorization: Bearer …`, or as the password of `Authorization: Basic …`, which is
/// what browsers, and `go tool pprof http://:token@host/`, can do.
#[derive(Clone)]
pub(super) struct Token(String);

/// Short tokens can be guessed, by those who may try often.
pub(super) const SHORTEST: usize = 16;

impl Token {
    pub(super) fn new(token: String) -> Self {
        Self(token)
    }

    pub(super) fn is_short(&self) -> bool {
        self.0.len() < SHORTEST
    }

    /// Whether this header shows it.
    ///
    /// How long it takes depends on how long the tokens are, and on nothing else of ours.
    pub(super) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        let Some((scheme, shown)) = split(authorization, b' ') else {
            return false;
        };
        let shown = shown.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(shown);
        }
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Some(shown) = base64::decode(shown)
            && let Some((_user, password)) = split(&shown, b':')
        {
            return self.is(password);
        }
        false
    }

    fn is(&self, shown: &[u8]) -> bool {
        // An empty one is nobody's secret.
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(shown))
    }
}

/// It is a secret.
impl fmt::Debug for Token {
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
    fn either_scheme_will_do() {
        let token = Token::new("open sesame".into());
        assert!(token.is_shown_by(b"Bearer open sesame"));
        assert!(token.is_shown_by(b"bearer  open sesame "));
        let basic = |pair: &str| format!("Basic {}", base64::encode(pair.as_bytes()));
        assert!(token.is_shown_by(basic(":open sesame").as_bytes()));
        assert!(token.is_shown_by(basic("ops:open sesame").as_bytes()));
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
            assert!(!token.is_shown_by(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn nothing_shows_an_empty_one() {
        let token = Token::new(String::new());
        assert!(!token.is_shown_by(b"Bearer "));
        assert!(!token.is_shown_by(b"Basic Og=="));
        assert!(token.is_short());
    }

    #[test]
    fn it_is_not_printed() {
        let token = Token::new("open sesame".into());
        assert!(!format!("{token:?}").contains("sesame"));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(header in proptest::collection::vec(any::<u8>(), 0..60)) {
            let token = Token::new("a token that is long enough".into());
            prop_assert!(!token.is_shown_by(&header));
        }

        #[test]
        fn nothing_but_the_token_will_do(token in "[!-~]{1,40}", other in "[!-~]{0,40}") {
            prop_assume!(token != other);
            let secret = Token::new(token.clone());
            let bearer = |token: &str| format!("Bearer {token}");
            prop_assert!(secret.is_shown_by(bearer(&token).as_bytes()));
            prop_assert!(!secret.is_shown_by(bearer(&other).as_bytes()));
        }
    }
}
