//! What is written when a signal has come, and where to.

use std::fmt;
use std::io;
use std::path::Path;
use std::process;
use std::sync::PoisonError;
use std::time::Duration;

use super::{DumpOnSignal, Output};
use crate::dump::{Dump, dump_blocking};
use crate::escape::Escaped;
use crate::os::{signal, stderr};
use crate::sync::StaticMutex as Mutex;
use crate::watch::file;

/// Makes a text, of what is known by more than the tasks, within a budget. It is given the name of
/// the signal.
pub(crate) type Reporter = fn(&str, Duration) -> Option<String>;

static REPORTER: Mutex<Option<Reporter>> = Mutex::new(None);

/// Has somebody else make the text: what they return is written to the standard error output, in
/// place of the dump and wherever that would have gone. If it is `None`, there is the dump.
pub(crate) fn set_reporter(reporter: Reporter) {
    *REPORTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(reporter);
}

pub(super) fn report(options: &DumpOnSignal) {
    let reporter = *REPORTER.lock().unwrap_or_else(PoisonError::into_inner);
    stderr::write(&text(options, reporter));
}

/// What is to be seen. If the dump goes to a file, that it does.
fn text(options: &DumpOnSignal, reporter: Option<Reporter>) -> String {
    let signal = signal::name(options.signal);
    if let Some(text) = reporter.and_then(|reporter| reporter(&signal, options.budget)) {
        return match text.ends_with('\n') {
            true => text,
            false => text + "\n",
        };
    }
    let dump = dump_blocking(options.budget);
    let header = Header {
        process: process::id(),
        signal,
    };
    match &options.output {
        Output::Stderr => format!("{header}\n{dump}\n"),
        Output::File(path) => {
            let path_shown = Escaped(path.display());
            match write(path, &header, &dump) {
                Ok(()) => format!("{header} written to {path_shown}\n"),
                Err(error) => format!("{header} cannot be written to {path_shown}: {error}\n"),
            }
        }
    }
}

/// What a dump begins with.
struct Header {
    process: u32,
    signal: String,
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, signal } = self;
        write!(f, "tasktrace: dump of process {process} on {signal}")
    }
}

fn write(path: &Path, header: &Header, dump: &Dump) -> io::Result<()> {
    file::replace(path, |out| match is_json(path) {
        true => writeln!(out, "{:#}", dump.json()),
        false => writeln!(out, "{header}\n{dump}"),
    })
}

fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_may_know_more() {
        let options = DumpOnSignal::new().budget(Duration::ZERO);
        let more: Reporter = |signal, budget| Some(format!("{signal} within {budget:?}"));
        let name = signal::name(signal::DEFAULT);
        let expected = format!("{name} within 0ns\n");
        assert_eq!(text(&options, Some(more)), expected);
        let to_file = options.clone().to_file("/nowhere/dump");
        assert_eq!(text(&to_file, Some(more)), expected);

        let nothing: Reporter = |_, _| None;
        let header = format!("tasktrace: dump of process {} on {name}", process::id());
        assert!(text(&options, Some(nothing)).starts_with(&header));
        let to_file = text(&to_file, Some(nothing));
        let why = format!("{header} cannot be written to /nowhere/dump: ");
        assert!(to_file.starts_with(&why), "{to_file}");
        assert_eq!(to_file.lines().count(), 1, "{to_file}");
    }

    #[test]
    fn names_of_files() {
        for path in ["dump.json", "/a.b/dump.x.JSON"] {
            assert!(is_json(Path::new(path)), "{path}");
        }
        for path in ["dump", "json", ".json", "a.json/dump", "dump.json.txt"] {
            assert!(!is_json(Path::new(path)), "{path}");
        }
    }
}
