//! Writes the report that a signal requests: the dump of all tasks, or the text of a registered function.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use super::{DumpOnSignal, Output};
use crate::dump::{Dump, dump_blocking};
use crate::escape::Escaped;
use crate::os::{signal, stderr};
use crate::sync::StaticMutex as Mutex;
use crate::watch::file;

/// A function that replaces the dump by a text that includes more than the tasks. Its arguments are the name of the
/// signal and the budget.
pub(crate) type ReportFunction = fn(&str, Duration) -> Option<String>;

static REPORT_FUNCTION: Mutex<Option<ReportFunction>> = Mutex::new(None);

/// Registers a function that makes the text of reports. The text is written to stderr instead of the dump, even if the
/// dump would go to a file. If the function returns `None`, the dump is written.
pub(crate) fn set_report_function(reporter: ReportFunction) {
    *REPORT_FUNCTION
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(reporter);
}

pub(super) fn report(options: &DumpOnSignal) {
    let reporter = *REPORT_FUNCTION
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    stderr::write(&text(options, reporter));
}

/// Returns the text for stderr: the report, or a line that says that the dump was written to a file.
fn text(options: &DumpOnSignal, reporter: Option<ReportFunction>) -> String {
    let signal = signal::name(options.signal);
    if let Some(text) = reporter.and_then(|reporter| reporter(&signal, options.budget)) {
        return match text.ends_with('\n') {
            true => text,
            false => text + "\n",
        };
    }
    let dump = dump_blocking(options.budget);
    let header = DumpHeader {
        process: crate::os::process_id(),
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

/// The first line of a dump.
struct DumpHeader {
    process: u32,
    signal: String,
}

impl fmt::Display for DumpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, signal } = self;
        write!(f, "tasktrace: dump of process {process} on {signal}")
    }
}

fn write(path: &Path, header: &DumpHeader, dump: &Dump) -> io::Result<()> {
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
    fn a_registered_report_replaces_the_dump_unless_it_is_empty() {
        let options = DumpOnSignal::new().budget(Duration::ZERO);
        let more: ReportFunction = |signal, budget| Some(format!("{signal} within {budget:?}"));
        let name = signal::name(signal::DEFAULT);
        let expected = format!("{name} within 0ns\n");
        assert_eq!(text(&options, Some(more)), expected);
        let to_file = options.clone().to_file("/nowhere/dump");
        assert_eq!(text(&to_file, Some(more)), expected);

        let nothing: ReportFunction = |_, _| None;
        let header = format!(
            "tasktrace: dump of process {} on {name}",
            crate::os::process_id()
        );
        assert!(text(&options, Some(nothing)).starts_with(&header));
        let to_file = text(&to_file, Some(nothing));
        let why = format!("{header} cannot be written to /nowhere/dump: ");
        assert!(to_file.starts_with(&why), "{to_file}");
        assert_eq!(to_file.lines().count(), 1, "{to_file}");
    }

    #[test]
    fn files_named_json_are_written_as_json() {
        for path in ["dump.json", "/a.b/dump.x.JSON"] {
            assert!(is_json(Path::new(path)), "{path}");
        }
        for path in ["dump", "json", ".json", "a.json/dump", "dump.json.txt"] {
            assert!(!is_json(Path::new(path)), "{path}");
        }
    }
}
