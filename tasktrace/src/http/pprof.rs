//! Go's addresses, `/debug/pprof/…`, where tools for its profiles look: tasks are the goroutines.
//!
//! What Go has and this has not is a profile without samples: collectors fetch all of them, and report
//! those that are missing as errors.

use std::env;
use std::io;

use http::StatusCode;

use super::job::{Asking, Form, Job, Subject};
use super::response::Refusal;
use super::route::{Asked, Fixed, Route};
use crate::render::{GoEmpty, GoProfile};

/// The content type of Go's profiles.
pub(super) const MEDIA: &str = "application/octet-stream";

const TEXT: &str = "text/plain; charset=utf-8";

/// What `debug=` is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Debug {
    /// For machines.
    Off,
    Counted,
    Stacks,
}

/// Where the name of a profile leads.
///
/// # Errors
///
/// If there is no such profile, or something is wrong with the parameters.
pub(super) fn route(asked: Asked<'_>, name: &str) -> Result<Route, Refusal> {
    match name {
        "" => Ok(index()),
        "goroutine" => profile(asked, GoProfile::Goroutine),
        "block" => profile(asked, GoProfile::Block),
        "mutex" => profile(asked, GoProfile::Mutex),
        "heap" => empty(asked, GoEmpty::Heap),
        "allocs" => empty(asked, GoEmpty::Allocs),
        "threadcreate" => empty(asked, GoEmpty::ThreadCreate),
        "cmdline" => Ok(Route::Fixed(Fixed {
            media: TEXT,
            file: None,
            body: cmdline(),
        })),
        // Profiles have all names in them.
        "symbol" => Ok(text("num_symbols: 0\n")),
        "trace" => Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "there is no trace of what a program has executed: see profile and goroutine",
        )),
        _ => Err(Refusal::not_found(format!("there is no profile {name:?}"))),
    }
}

fn text(text: &str) -> Route {
    Route::Fixed(Fixed {
        media: TEXT,
        file: None,
        body: text.into(),
    })
}

fn debug(asked: Asked<'_>) -> Result<Debug, Refusal> {
    let words = [
        ("0", Debug::Off),
        ("1", Debug::Counted),
        ("2", Debug::Stacks),
    ];
    Ok(asked.query.word("debug", &words)?.unwrap_or(Debug::Off))
}

fn profile(asked: Asked<'_>, profile: GoProfile) -> Result<Route, Refusal> {
    let form = match debug(asked)? {
        Debug::Off => Form::GoPprof(profile),
        Debug::Stacks if profile == GoProfile::Goroutine => Form::GoStacks,
        Debug::Counted | Debug::Stacks => Form::GoCounted(profile),
    };
    let subject = Subject::Tasks(Asking::Polled);
    Ok(Route::Job(Job { subject, form }))
}

fn empty(asked: Asked<'_>, profile: GoEmpty) -> Result<Route, Refusal> {
    if debug(asked)? != Debug::Off {
        return Ok(text(profile.text()));
    }
    let mut body = Vec::new();
    profile.write_pprof(&mut body).map_err(unwritten)?;
    Ok(Route::Fixed(Fixed {
        media: MEDIA,
        file: Some("profile.pb.gz"),
        body,
    }))
}

pub(super) fn unwritten(error: io::Error) -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("it cannot be written: {error}"),
    )
}

/// The arguments of the program, with a zero between them.
fn cmdline() -> Vec<u8> {
    let arguments = env::args_os().map(|it| it.to_string_lossy().into_owned());
    arguments.collect::<Vec<_>>().join("\0").into_bytes()
}

/// Relative, for it may be mounted anywhere. Without the last slash they would lead elsewhere.
fn index() -> Route {
    let profiles = [
        ("goroutine", "where all tasks are"),
        ("block", "for how long tasks have been waiting"),
        ("mutex", "for how long tasks have been waiting for locks"),
        ("heap", "without samples: memory is not looked at"),
        ("allocs", "without samples"),
        ("threadcreate", "without samples"),
    ];
    let mut body = String::from(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Profiles</title>\n<h1>Profiles of tasks</h1>\n\
         <p>In the format of pprof, for <code>go tool pprof</code> and collectors.</p>\n<ul>\n",
    );
    for (name, what) in profiles {
        body.push_str(&format!(
            "<li><a href=\"{name}?debug=1\">{name}</a>: {what}</li>\n"
        ));
    }
    body.push_str(
        "<li><a href=\"goroutine?debug=2\">goroutine?debug=2</a>: the stack of each task</li>\n\
         <li><a href=\"cmdline\">cmdline</a>: how the program was called</li>\n</ul>\n",
    );
    Route::Fixed(Fixed {
        media: "text/html; charset=utf-8",
        file: None,
        body: body.into_bytes(),
    })
}
