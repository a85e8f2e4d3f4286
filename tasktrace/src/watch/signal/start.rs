//! Starts the dumps on signals that the attributes and the environment request.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use super::{DumpOnSignal, dump_on_signal, report};
use crate::escape::Escaped;
use crate::os::{env, signal, stderr};
use crate::sync::LockedMap;
use crate::watch::test;

/// The environment variable with the signals: names or numbers, separated by commas. `1` stands for the default signal,
/// and `0` for none. It overrides the attribute.
const SIGNAL_VARIABLE: &str = "TASKTRACE_DUMP_ON_SIGNAL";

/// The environment variable with the file of the dumps. An empty value stands for stderr.
const FILE_VARIABLE: &str = "TASKTRACE_DUMP_FILE";

/// The requests of the environment, which were carried out when this value was made.
struct Environment {
    /// `true` if the variable names signals, or says that there are none. Then the attributes are ignored.
    overrides_attributes: bool,
    file: Option<PathBuf>,
}

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// The values of the attributes that were carried out. Each test makes a call, so there may be many calls for one
/// value.
static HANDLED_ATTRIBUTES: LockedMap<Box<str>, ()> = LockedMap::new();

/// Carries out the requests of the environment, and the request of an attribute unless the environment overrides it.
/// The attribute `""` stands for the default signal. Errors are printed on stderr.
pub(crate) fn start(attribute: Option<&str>) {
    let environment = ENVIRONMENT.get_or_init(Environment::carry_out);
    let Some(attribute) = attribute.filter(|_| !environment.overrides_attributes) else {
        return;
    };
    if HANDLED_ATTRIBUTES.get(attribute).is_none()
        && HANDLED_ATTRIBUTES.insert(attribute.into(), ()).is_ok()
    {
        let requested = match attribute {
            "" => RequestedSignals::default_signal(),
            _ => RequestedSignals::read(attribute),
        };
        carry_out("dump_on_signal", &requested, environment.file.as_deref());
    }
}

/// Registers the reports of running tests, which a test runner may request by a signal. A test calls it first.
pub(crate) fn start_for_tests() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        report::set_report_function(test::report_all);
        // nextest runs each test in its own process, and sends SIGTERM some seconds before it kills the process.
        let is_nextest = env::var("NEXTEST").is_some();
        start(is_nextest.then_some("SIGTERM"));
    });
}

impl Environment {
    fn carry_out() -> Self {
        let requested = env::text(SIGNAL_VARIABLE).map(|value| RequestedSignals::read(&value));
        let file = env::var(FILE_VARIABLE).filter(|file| !file.is_empty());
        let environment = Self {
            overrides_attributes: requested.as_ref().is_some_and(|it| it.signals.is_some()),
            file: file.map(PathBuf::from),
        };
        if let Some(requested) = requested {
            carry_out(SIGNAL_VARIABLE, &requested, environment.file.as_deref());
        }
        environment
    }
}

/// The signals that the value of an attribute or a variable names.
#[derive(Debug, PartialEq, Eq)]
struct RequestedSignals {
    /// The signals. `None` if the value names no signal and does not say `none`.
    signals: Option<Vec<i32>>,
    /// The words of the value that are not valid.
    invalid: Vec<String>,
}

impl RequestedSignals {
    fn default_signal() -> Self {
        Self {
            signals: Some(vec![signal::DEFAULT]),
            invalid: Vec::new(),
        }
    }

    fn read(value: &str) -> Self {
        if env::switch(value) == Some(false) {
            return Self {
                signals: Some(Vec::new()),
                invalid: Vec::new(),
            };
        }
        let mut signals = Vec::new();
        let mut invalid = Vec::new();
        for word in value.split(',').map(str::trim) {
            match signal::number(word) {
                _ if word.is_empty() => {}
                _ if env::switch(word) == Some(true) => signals.push(signal::DEFAULT),
                Some(number) => signals.push(number),
                None => invalid.push(word.to_owned()),
            }
        }
        Self {
            signals: Some(signals).filter(|signals| !signals.is_empty()),
            invalid,
        }
    }
}

/// Registers the signals, and prints errors on stderr. `source` is the name of the attribute or the variable.
fn carry_out(source: &str, requested: &RequestedSignals, file: Option<&Path>) {
    let mut errors = String::new();
    for word in &requested.invalid {
        let _ = writeln!(
            errors,
            "tasktrace: {source}: `{}` is not a signal that a program can handle: use names or numbers, \
             such as SIGUSR1 or SIGUSR2,SIGTERM, or 1 for SIGUSR1, or 0 for none",
            Escaped(word)
        );
    }
    for signal in requested.signals.iter().flatten() {
        let mut options = DumpOnSignal::from(*signal);
        if let Some(file) = file {
            options = options.to_file(file);
        }
        if let Err(error) = dump_on_signal(options) {
            let _ = writeln!(errors, "tasktrace: {source}: {error}");
        }
    }
    stderr::write(&errors);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn signals(value: &str) -> Option<Vec<i32>> {
        let requested = RequestedSignals::read(value);
        assert_eq!(requested.invalid, [""; 0], "{value}");
        requested.signals
    }

    #[test]
    fn valid_values_name_signals() {
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
    fn invalid_words_are_collected_and_the_rest_is_used() {
        let requested = RequestedSignals::read("SIGUSR3");
        assert_eq!(
            (requested.signals, &*requested.invalid),
            (None, &["SIGUSR3".to_owned()][..])
        );
        let requested = RequestedSignals::read("KILL,usr1,off");
        assert_eq!(requested.signals, Some(vec![libc::SIGUSR1]));
        assert_eq!(requested.invalid, ["KILL", "off"]);
    }
}
