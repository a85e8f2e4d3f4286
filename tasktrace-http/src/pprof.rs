//! Serves Go's paths, `/debug/pprof/…`, for tools that read Go's profiles. Tasks take the place of goroutines.
//!
//! A profile that Go has and tasktrace lacks is served without samples, because collectors fetch the profiles of memory
//! by default and report a missing one as an error.

use std::env;

use http::StatusCode;

use super::job::{CaptureMode, Format, GoProfile, Job, Subject};
use super::response::Refusal;
use super::route::{Fixed, RequestParts, Route};

/// The content type of Go's profiles.
pub(super) const MEDIA: &str = "application/octet-stream";

const TEXT: &str = "text/plain; charset=utf-8";

/// The value of the parameter `debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DebugLevel {
    /// The format of pprof, for machines.
    Off,
    Counted,
    Stacks,
}

/// Returns the route of a path below `/debug/pprof/`.
///
/// # Errors
///
/// Returns an error if there is no such profile, or if a parameter is not valid.
pub(super) fn route(parts: RequestParts<'_>, name: &str) -> Result<Route, Refusal> {
    match name {
        "" => Ok(index()),
        "goroutine" => profile(parts, GoProfile::Goroutine),
        "block" => profile(parts, GoProfile::Block),
        "mutex" => profile(parts, GoProfile::Mutex),
        "profile" => {
            let length = parts.query.seconds(parts.longest)?;
            let subject = Subject::Profile {
                length: length.unwrap_or(parts.default_length(30)),
                mode: parts.capture_mode(CaptureMode::Snapshot)?,
                every: None,
            };
            let format = Format::Pprof;
            Ok(Route::Job(Job { subject, format }))
        }
        "heap" | "allocs" | "threadcreate" => empty(parts),
        "cmdline" => Ok(Route::Fixed(Fixed {
            media: TEXT,
            body: cmdline(),
        })),
        // Tools ask for symbols of addresses, but these profiles contain all names.
        "symbol" => Ok(Route::Fixed(Fixed {
            media: TEXT,
            body: "num_symbols: 0\n".into(),
        })),
        "trace" => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "execution traces are not supported: see profile and goroutine",
        )),
        _ => Err(Refusal::not_found(format!("there is no profile {name:?}"))),
    }
}

fn debug(parts: RequestParts<'_>) -> Result<DebugLevel, Refusal> {
    let words = [
        ("0", DebugLevel::Off),
        ("1", DebugLevel::Counted),
        ("2", DebugLevel::Stacks),
    ];
    Ok(parts
        .query
        .word("debug", &words)?
        .unwrap_or(DebugLevel::Off))
}

fn profile(parts: RequestParts<'_>, profile: GoProfile) -> Result<Route, Refusal> {
    let format = match debug(parts)? {
        DebugLevel::Off => Format::GoPprof(profile),
        DebugLevel::Stacks if profile == GoProfile::Goroutine => Format::GoStacks,
        DebugLevel::Counted | DebugLevel::Stacks => Format::GoCounted(profile),
    };
    let subject = match parts.query.seconds(parts.longest)? {
        None => Subject::Tasks(parts.capture_mode(CaptureMode::Capture)?),
        Some(_) if format != Format::GoPprof(profile) => {
            let message = "with `seconds`, only the pprof format is available: leave out `debug`";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        }
        Some(length) => {
            // Only a captured trace shows the lock that a task waits for.
            let default_mode = match profile {
                GoProfile::Mutex => CaptureMode::Capture,
                GoProfile::Goroutine | GoProfile::Block => CaptureMode::Snapshot,
            };
            Subject::Profile {
                length,
                mode: parts.capture_mode(default_mode)?,
                every: None,
            }
        }
    };
    Ok(Route::Job(Job { subject, format }))
}

fn empty(parts: RequestParts<'_>) -> Result<Route, Refusal> {
    if debug(parts)? != DebugLevel::Off {
        let message = "this profile has no samples, and only the pprof format is available: leave out `debug`";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let (subject, format) = (Subject::Nothing, Format::GoEmpty);
    Ok(Route::Job(Job { subject, format }))
}

/// Returns the arguments of the program, separated by zero bytes.
fn cmdline() -> Vec<u8> {
    let arguments = env::args_os().map(|it| it.to_string_lossy().into_owned());
    arguments.collect::<Vec<_>>().join("\0").into_bytes()
}

/// Returns the index of the profiles. Its links are relative, because the service can be mounted at any path. The path
/// of the index must end with a slash, or the links lead elsewhere.
fn index() -> Route {
    let profiles = [
        ("goroutine", "where all tasks are"),
        ("block", "for how long tasks have been waiting"),
        ("mutex", "for how long tasks have been waiting for locks"),
        ("profile", "where tasks wait in the next 30 seconds"),
        ("heap", "always empty: memory is not profiled"),
        ("allocs", "without samples"),
        ("threadcreate", "without samples"),
    ];
    let mut body = String::from(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Profiles</title>\n<h1>Profiles of tasks</h1>\n\
         <p>In the pprof format, for <code>go tool pprof</code> and collectors.</p>\n<ul>\n",
    );
    for (name, what) in profiles {
        // The other profiles are not text.
        let parameter = match name {
            "goroutine" | "block" | "mutex" => "?debug=1",
            _ => "",
        };
        body.push_str(&format!(
            "<li><a href=\"{name}{parameter}\">{name}</a>: {what}</li>\n"
        ));
    }
    body.push_str(
        "<li><a href=\"goroutine?debug=2\">goroutine?debug=2</a>: the stack of each task</li>\n\
         <li><a href=\"cmdline\">cmdline</a>: the command line of the program</li>\n</ul>\n",
    );
    Route::Fixed(Fixed {
        media: "text/html; charset=utf-8",
        body: body.into_bytes(),
    })
}
