//! Maps the address of a request to a route.

use std::time::Duration;

use http::Uri;

use super::job::{CaptureMode, Format, Job, SampleWeight, Subject};
use super::negotiate::choose;
use super::pprof;
use super::query::Query;
use super::response::Refusal;

/// The kind of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Page,
    Fixed(Fixed),
    Job(Job),
}

/// A response without data of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) media: &'static str,
    pub(super) body: Vec<u8>,
}

/// The parts of a request that select the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestParts<'a> {
    pub(super) path: &'a str,
    pub(super) query: Query<'a>,
    /// The header `Accept`. Empty if the client did not send it.
    pub(super) accept: &'a str,
    /// The longest profile that a request may ask for.
    pub(super) longest: Duration,
}

impl<'a> RequestParts<'a> {
    pub(super) fn new(uri: &'a Uri, accept: &'a str, longest: Duration) -> Self {
        Self {
            path: uri.path(),
            query: Query::new(uri.query()),
            accept,
            longest,
        }
    }

    /// Returns the route of the request.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such path, or if a parameter is not valid.
    pub(super) fn route(self) -> Result<Route, Refusal> {
        let path = self.path.strip_prefix('/').unwrap_or(self.path);
        if path.is_empty() {
            return self.root();
        }
        if let Some(name) = path.strip_prefix("tasks/") {
            return self.task(name);
        }
        if path == "profile" {
            return self.profile(None);
        }
        if let Some(extension) = path.strip_prefix("profile.") {
            return self.profile(Some(extension));
        }
        if path == "view.json" {
            return self.all_tasks(Format::View);
        }
        if path == "process.json" {
            let subject = Subject::Process;
            let format = Format::Process;
            return Ok(Route::Job(Job { subject, format }));
        }
        if path == "debug/pprof" {
            return pprof::route(self, "");
        }
        if let Some(name) = path.strip_prefix("debug/pprof/") {
            return pprof::route(self, name);
        }
        match path.strip_prefix("dump.") {
            Some(extension) => {
                let format = self.format(extension)?;
                self.all_tasks(format)
            }
            None => Err(self.no_such_path()),
        }
    }

    fn no_such_path(self) -> Refusal {
        Refusal::not_found(format!("there is no {:?} here", self.path))
    }

    /// Returns the route of `/`: the page, or all tasks in the format that the client prefers.
    fn root(self) -> Result<Route, Refusal> {
        let offers = [
            // The first offer is for clients that accept everything, such as curl.
            ("text/plain", Some(Format::Text)),
            ("text/html", None),
            ("application/json", Some(Format::Json)),
            (
                "image/svg+xml",
                Some(Format::Flamegraph(self.weight(SampleWeight::Tasks)?)),
            ),
            (
                "text/x-folded",
                Some(Format::Folded(self.weight(SampleWeight::Tasks)?)),
            ),
            ("application/x-protobuf", Some(Format::Pprof)),
            ("application/octet-stream", Some(Format::Pprof)),
        ];
        match choose(self.accept, &offers) {
            Some(Some(format)) => self.all_tasks(format),
            Some(None) => Ok(Route::Page),
            None => Err(unacceptable(&offers)),
        }
    }

    /// Returns the route of all tasks in a format.
    fn all_tasks(self, format: Format) -> Result<Route, Refusal> {
        let format = match format {
            Format::Text if self.by_awaiter()? => Format::Forest,
            other => other,
        };
        let subject = Subject::Tasks(self.capture_mode(CaptureMode::Capture)?);
        Ok(Route::Job(Job { subject, format }))
    }

    /// Returns the route of one task: `7`, `7.txt` or `7.json`.
    fn task(self, name: &str) -> Result<Route, Refusal> {
        let (number, format) = match name.split_once('.') {
            Some((number, "txt")) => (number, Format::Text),
            Some((number, "json")) => (number, Format::Json),
            Some(_) => return Err(self.no_such_path()),
            None => {
                let offers = [
                    ("text/plain", Format::Text),
                    ("application/json", Format::Json),
                ];
                let format = choose(self.accept, &offers);
                (name, format.ok_or_else(|| unacceptable(&offers))?)
            }
        };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number);
        let number = number.ok_or_else(|| self.no_such_path())?;
        let mode = self.capture_mode(CaptureMode::Capture)?;
        let subject = Subject::Task { number, mode };
        Ok(Route::Job(Job { subject, format }))
    }

    /// Returns the route of a profile: `profile`, `profile.svg`, or `profile?format=svg`.
    fn profile(self, extension: Option<&str>) -> Result<Route, Refusal> {
        let by_parameter = self.query.get("format");
        let format = match extension.or(by_parameter.as_deref()) {
            Some(extension) => self.format(extension)?,
            None => {
                let weight = self.weight(SampleWeight::Waited)?;
                let offers = [
                    // The first offer is for clients that accept everything, such as `go tool pprof`.
                    ("application/octet-stream", Format::Pprof),
                    ("application/x-protobuf", Format::Pprof),
                    ("text/html", Format::Flamegraph(weight)),
                    ("image/svg+xml", Format::Flamegraph(weight)),
                    ("text/plain", Format::Text),
                    ("text/x-folded", Format::Folded(weight)),
                    ("application/json", Format::Json),
                ];
                let format = choose(self.accept, &offers);
                format.ok_or_else(|| unacceptable(&offers))?
            }
        };
        let format = match format {
            Format::Folded(_) => Format::Folded(self.weight(SampleWeight::Waited)?),
            Format::Flamegraph(_) => Format::Flamegraph(self.weight(SampleWeight::Waited)?),
            other => other,
        };
        let length = self.query.seconds(self.longest)?;
        let subject = Subject::Profile {
            length: length.unwrap_or(self.default_length(10)),
            mode: self.capture_mode(CaptureMode::Snapshot)?,
            every: self.query.time("every", self.longest)?,
        };
        Ok(Route::Job(Job { subject, format }))
    }

    /// Returns a default length in seconds, limited to the longest profile.
    pub(super) fn default_length(self, seconds: u64) -> Duration {
        self.longest.min(Duration::from_secs(seconds))
    }

    fn format(self, extension: &str) -> Result<Format, Refusal> {
        match extension {
            "txt" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            "folded" => Ok(Format::Folded(self.weight(SampleWeight::Tasks)?)),
            "svg" => Ok(Format::Flamegraph(self.weight(SampleWeight::Tasks)?)),
            "pb.gz" => Ok(Format::Pprof),
            _ => Err(self.no_such_path()),
        }
    }

    pub(super) fn capture_mode(self, default: CaptureMode) -> Result<CaptureMode, Refusal> {
        let words = [("1", CaptureMode::Capture), ("0", CaptureMode::Snapshot)];
        let capture_mode = self.query.word("capture", &words)?;
        Ok(capture_mode.unwrap_or(default))
    }

    fn weight(self, default: SampleWeight) -> Result<SampleWeight, Refusal> {
        let words = [
            ("tasks", SampleWeight::Tasks),
            ("waited", SampleWeight::Waited),
        ];
        Ok(self.query.word("weight", &words)?.unwrap_or(default))
    }

    fn by_awaiter(self) -> Result<bool, Refusal> {
        let words = [("awaiter", true), ("group", false)];
        Ok(self.query.word("by", &words)?.unwrap_or(false))
    }
}

fn unacceptable<T>(offers: &[(&str, T)]) -> Refusal {
    let media: Vec<_> = offers.iter().map(|(media, _)| *media).collect();
    Refusal::new(
        http::StatusCode::NOT_ACCEPTABLE,
        format!("the available formats are {}", media.join(", ")),
    )
}

#[cfg(test)]
mod tests;
