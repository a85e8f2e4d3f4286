//! What the attributes and the environment ask for.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use super::{DumpOnSignal, dump_on_signal, report};
use crate::escape::Escaped;
use crate::os::{env, signal, stderr};
use crate::sync::Map;
use crate::watch::test;

/// The signals, separated by commas, by their names or numbers. `1` is the usual one, `0` is none,
/// whatever the attribute says.
const ON_SIGNAL: &str = "TASKTRACE_DUMP_ON_SIGNAL";

/// The file. Empty is the standard error output.
const FILE: &str = "TASKTRACE_DUMP_FILE";

const YES: [&str; 4] = ["1", "true", "on", "yes"];
const NO: [&str; 5] = ["0", "none", "off", "false", "no"];

/// What the environment asks for, which has been seen to.
struct Environment {
    /// It says on which signals, or on none, so it does not matter what the attributes say.
    decides: bool,
    file: Option<PathBuf>,
}

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// The attributes that have been seen to: there may be as many calls as there are tests.
static SEEN: Map<Box<str>, ()> = Map::new();

/// Does what the environment asks for and, if that says nothing, what an attribute does: `""` is the
/// usual signal. What cannot be done is told on the standard error output.
pub(crate) fn start(attribute: Option<&str>) {
    let environment = ENVIRONMENT.get_or_init(Environment::see_to);
    let Some(attribute) = attribute.filter(|_| !environment.decides) else {
        return;
    };
    if SEEN.get(attribute).is_none() && SEEN.insert(attribute.into(), ()).is_ok() {
        let asked = match attribute {
            "" => Asked::default_signal(),
            _ => Asked::read(attribute),
        };
        see_to("dump_on_signal", &asked, environment.file.as_deref());
    }
}

/// What a test does first. A runner may end it with a signal: then it is told what the tests are doing.
pub(crate) fn in_tests() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        report::set_reporter(test::report_all);
        // nextest has each test in a process of its own, and sends this some seconds before it kills.
        let is_nextest = env::var("NEXTEST").is_some();
        start(is_nextest.then_some("SIGTERM"));
    });
}

impl Environment {
    fn see_to() -> Self {
        let asked = env::text(ON_SIGNAL).map(|value| Asked::read(&value));
        let file = env::var(FILE).filter(|file| !file.is_empty());
        let environment = Self {
            decides: asked.as_ref().is_some_and(|it| it.signals.is_some()),
            file: file.map(PathBuf::from),
        };
        if let Some(asked) = asked {
            see_to(ON_SIGNAL, &asked, environment.file.as_deref());
        }
        environment
    }
}

/// What a value asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// `None` if it does not say.
    signals: Option<Vec<i32>>,
    /// What is not understood.
    wrong: Vec<String>,
}

impl Asked {
    fn default_signal() -> Self {
        Self {
            signals: Some(vec![signal::DEFAULT]),
            wrong: Vec::new(),
        }
    }

    fn read(value: &str) -> Self {
        let is = |word: &str, words: &[&str]| words.iter().any(|it| it.eq_ignore_ascii_case(word));
        if is(value.trim(), &NO) {
            return Self {
                signals: Some(Vec::new()),
                wrong: Vec::new(),
            };
        }
        let mut signals = Vec::new();
        let mut wrong = Vec::new();
        for word in value.split(',').map(str::trim) {
            match signal::number(word) {
                _ if word.is_empty() => {}
                _ if is(word, &YES) => signals.push(signal::DEFAULT),
                Some(number) => signals.push(number),
                None => wrong.push(word.to_owned()),
            }
        }
        Self {
            signals: Some(signals).filter(|signals| !signals.is_empty()),
            wrong,
        }
    }
}

/// Does what is asked for by what is called `by`.
fn see_to(by: &str, asked: &Asked, file: Option<&Path>) {
    let mut told = String::new();
    for word in &asked.wrong {
        let _ = writeln!(
            told,
            "tasktrace: {by}: `{}` is no signal that a program can handle: use names or numbers, \
             such as SIGUSR1 or SIGUSR2,SIGTERM, or 1 for SIGUSR1, or 0 for none",
            Escaped(word)
        );
    }
    for signal in asked.signals.iter().flatten() {
        let mut options = DumpOnSignal::from(*signal);
        if let Some(file) = file {
            options = options.to_file(file);
        }
        if let Err(error) = dump_on_signal(options) {
            let _ = writeln!(told, "tasktrace: {by}: {error}");
        }
    }
    stderr::write(&told);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn signals(value: &str) -> Option<Vec<i32>> {
        let asked = Asked::read(value);
        assert_eq!(asked.wrong, [""; 0], "{value}");
        asked.signals
    }

    #[test]
    fn values() {
        for value in ["1", "true", "on", " TRUE ", "SIGUSR1", "usr1", "10"] {
            assert_eq!(signals(value), Some(vec![libc::SIGUSR1]), "{value}");
        }
        for value in ["0", "none", "Off", "false", "no"] {
            assert_eq!(signals(value), Some(Vec::new()), "{value}");
        }
        for value in ["", " ", ","] {
            assert_eq!(signals(value), None, "{value}");
        }
        let several = vec![libc::SIGUSR2, libc::SIGTERM, libc::SIGUSR1];
        assert_eq!(signals("USR2, 15,1,"), Some(several));
    }

    #[test]
    fn wrong_values() {
        let asked = Asked::read("SIGUSR3");
        assert_eq!(
            (asked.signals, &*asked.wrong),
            (None, &["SIGUSR3".to_owned()][..])
        );
        let asked = Asked::read("KILL,usr1,off");
        assert_eq!(asked.signals, Some(vec![libc::SIGUSR1]));
        assert_eq!(asked.wrong, ["KILL", "off"]);
    }
}
