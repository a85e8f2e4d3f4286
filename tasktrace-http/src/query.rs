//! Parses the query of an address.

use std::borrow::Cow;
use std::time::Duration;

use super::response::Refusal;

/// The parameters of a request, as `name=value&…`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn new(text: Option<&'a str>) -> Self {
        Self(text.unwrap_or_default())
    }

    /// Returns the value of a parameter. If there are several, it is the first one, as in Go.
    pub(super) fn get(self, name: &str) -> Option<Cow<'a, str>> {
        let pairs = self.0.split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(key, _)| decode(key) == name)?;
        Some(decode(value))
    }

    /// Returns the meaning of a parameter that must be one of a few words.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not one of the words.
    pub(super) fn word<T: Copy>(
        self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(Refusal::parameter(name, &words.join(" or ")))
            }
        }
    }

    /// Returns the parameter `seconds`. Returns `None` if it is missing or 0.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is not a time, or is longer than `longest`.
    pub(super) fn seconds(self, longest: Duration) -> Result<Option<Duration>, Refusal> {
        self.time("seconds", longest)
    }

    /// Returns a time in seconds like [`seconds`](Self::seconds), from the parameter `name`.
    pub(super) fn time(
        self,
        name: &'static str,
        longest: Duration,
    ) -> Result<Option<Duration>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let time = value.parse().ok().map(Duration::try_from_secs_f64);
        match time {
            Some(Ok(Duration::ZERO)) => Ok(None),
            Some(Ok(time)) if time <= longest => Ok(Some(time)),
            _ => Err(Refusal::parameter(
                name,
                &format!("a number of seconds up to {}", longest.as_secs_f64()),
            )),
        }
    }
}

/// Decodes percent-encoded text. Text that is not encoded properly stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'+', _) => (b' ', after),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*first, &rest[1..]),
            },
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => String::from_utf8_lossy(error.as_bytes())
            .into_owned()
            .into(),
    }
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    #[test]
    fn the_first_value_of_a_parameter_counts() {
        let query = Query::new(Some("a=1&b&a=2&c=x+y%20%3d&=z"));
        assert_eq!(query.get("a").unwrap(), "1");
        assert_eq!(query.get("b").unwrap(), "");
        assert_eq!(query.get("c").unwrap(), "x y =");
        assert_eq!(query.get("").unwrap(), "z");
        assert_eq!(query.get("d"), None);
        assert_eq!(Query::new(None).get("a"), None);
    }

    #[test]
    fn invalid_escapes_stay_as_they_are() {
        for text in ["%", "%4", "%zz", "100%", "%%"] {
            assert_eq!(decode(text), text);
        }
        assert_eq!(decode("%%41%ff"), "%A\u{fffd}");
    }

    #[test]
    fn seconds_are_bounded() {
        let longest = Duration::from_secs(60);
        let seconds = |text: &str| Query::new(Some(text)).seconds(longest);
        assert_eq!(seconds("").unwrap(), None);
        assert_eq!(seconds("seconds=0").unwrap(), None);
        let half = Duration::from_millis(500);
        assert_eq!(seconds("seconds=0.5").unwrap(), Some(half));
        assert_eq!(seconds("seconds=60").unwrap(), Some(longest));
        for wrong in ["61", "-1", "NaN", "inf", "1e300", "ten", "", "0x10"] {
            assert!(seconds(&format!("seconds={wrong}")).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn decoding_reverses_encoding(text in ".*") {
            let encoded = encode(&text);
            prop_assert_eq!(decode(&encoded), text);
        }

        #[test]
        fn arbitrary_queries_cause_no_panic(text in ".*", name in ".*") {
            let query = Query::new(Some(&text));
            let _ = query.get(&name);
            let _ = query.word("capture", &[("0", ())]);
            if let Ok(Some(time)) = query.seconds(Duration::from_secs(60)) {
                prop_assert!(time > Duration::ZERO && time <= Duration::from_secs(60));
            }
        }

        #[test]
        fn a_value_is_found_among_others(
            before in "[a-z=&%+]*", value in ".*", after in "[a-z=&%+]*",
        ) {
            let text = format!("{before}&KEY={}&{after}", encode(&value));
            prop_assert_eq!(Query::new(Some(&text)).get("KEY").unwrap(), value);
        }
    }
}
