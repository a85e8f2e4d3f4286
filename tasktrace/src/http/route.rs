//! Which address leads to what.

use std::time::Duration;

use http::Uri;

use super::job::{Asking, Form, Job, Subject};
use super::negotiate::choose;
use super::pprof;
use super::query::Query;
use super::response::Refusal;
use crate::render::Weight;

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The page.
    Page,
    /// What is there already.
    Fixed(Fixed),
    Job(Job),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) media: &'static str,
    /// What it is called when it is saved.
    pub(super) file: Option<&'static str>,
    pub(super) body: Vec<u8>,
}

/// What a request says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: Query<'a>,
    /// What the client likes, empty if it does not say.
    pub(super) accept: &'a str,
    /// How long a profile may take.
    pub(super) longest: Duration,
}

impl<'a> Asked<'a> {
    pub(super) fn new(uri: &'a Uri, accept: &'a str, longest: Duration) -> Self {
        Self {
            path: uri.path(),
            query: Query::new(uri.query()),
            accept,
            longest,
        }
    }

    /// Where it leads.
    ///
    /// # Errors
    ///
    /// If it leads nowhere, or there is something wrong with the parameters.
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
            return self.all(Form::View);
        }
        if path == "process.json" {
            // It is counted, and nobody need be asked for that.
            let subject = Subject::Tasks(Asking::LookedAt);
            let form = Form::Process;
            return Ok(Route::Job(Job { subject, form }));
        }
        if path == "debug/pprof" {
            return pprof::route(self, "");
        }
        if let Some(name) = path.strip_prefix("debug/pprof/") {
            return pprof::route(self, name);
        }
        match path.strip_prefix("dump.") {
            Some(extension) => {
                let form = self.form(extension)?;
                self.all(form)
            }
            None => Err(self.nowhere()),
        }
    }

    fn nowhere(self) -> Refusal {
        Refusal::not_found(format!("there is no {:?} here", self.path))
    }

    fn root(self) -> Result<Route, Refusal> {
        let offers = [
            // What a client gets that does not care, such as curl.
            ("text/plain", Some(Form::Text)),
            ("text/html", None),
            ("application/json", Some(Form::Json)),
            (
                "image/svg+xml",
                Some(Form::Flamegraph(self.weight(Weight::Tasks)?)),
            ),
            (
                "text/x-folded",
                Some(Form::Folded(self.weight(Weight::Tasks)?)),
            ),
            ("application/x-protobuf", Some(Form::Pprof)),
            ("application/octet-stream", Some(Form::Pprof)),
        ];
        match choose(self.accept, &offers) {
            Some(Some(form)) => self.all(form),
            Some(None) => Ok(Route::Page),
            None => Err(unacceptable(&offers)),
        }
    }

    fn all(self, form: Form) -> Result<Route, Refusal> {
        let form = match form {
            Form::Text if self.by_awaiter()? => Form::Forest,
            other => other,
        };
        let subject = Subject::Tasks(self.asking(Asking::Polled)?);
        Ok(Route::Job(Job { subject, form }))
    }

    /// `7`, `7.txt` or `7.json`.
    fn task(self, name: &str) -> Result<Route, Refusal> {
        let (number, form) = match name.split_once('.') {
            Some((number, "txt")) => (number, Form::Text),
            Some((number, "json")) => (number, Form::Json),
            Some(_) => return Err(self.nowhere()),
            None => {
                let offers = [("text/plain", Form::Text), ("application/json", Form::Json)];
                let form = choose(self.accept, &offers);
                (name, form.ok_or_else(|| unacceptable(&offers))?)
            }
        };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number);
        let number = number.ok_or_else(|| self.nowhere())?;
        let subject = Subject::Task(number, self.asking(Asking::Polled)?);
        Ok(Route::Job(Job { subject, form }))
    }

    /// `profile`, `profile.svg`, or `profile?format=svg`.
    fn profile(self, extension: Option<&str>) -> Result<Route, Refusal> {
        let by_parameter = self.query.get("format");
        let form = match extension.or(by_parameter.as_deref()) {
            Some(extension) => self.form(extension)?,
            None => {
                let weight = self.weight(Weight::Waited)?;
                let offers = [
                    // What a client gets that does not care, such as `go tool pprof`.
                    ("application/octet-stream", Form::Pprof),
                    ("application/x-protobuf", Form::Pprof),
                    ("text/html", Form::Flamegraph(weight)),
                    ("image/svg+xml", Form::Flamegraph(weight)),
                    ("text/plain", Form::Text),
                    ("text/x-folded", Form::Folded(weight)),
                    ("application/json", Form::Json),
                ];
                let form = choose(self.accept, &offers);
                form.ok_or_else(|| unacceptable(&offers))?
            }
        };
        let form = match form {
            Form::Folded(_) => Form::Folded(self.weight(Weight::Waited)?),
            Form::Flamegraph(_) => Form::Flamegraph(self.weight(Weight::Waited)?),
            other => other,
        };
        let asking = self.asking(Asking::LookedAt)?;
        let length = self.query.seconds(self.longest)?;
        let every = self.query.time("every", self.longest)?;
        let subject = Subject::Time(length.unwrap_or(self.usual(10)), asking, every);
        Ok(Route::Job(Job { subject, form }))
    }

    /// So many seconds, if that is not too long.
    pub(super) fn usual(self, seconds: u64) -> Duration {
        self.longest.min(Duration::from_secs(seconds))
    }

    fn form(self, extension: &str) -> Result<Form, Refusal> {
        match extension {
            "txt" => Ok(Form::Text),
            "json" => Ok(Form::Json),
            "folded" => Ok(Form::Folded(self.weight(Weight::Tasks)?)),
            "svg" => Ok(Form::Flamegraph(self.weight(Weight::Tasks)?)),
            "pb.gz" => Ok(Form::Pprof),
            _ => Err(self.nowhere()),
        }
    }

    pub(super) fn asking(self, usual: Asking) -> Result<Asking, Refusal> {
        let words = [("1", Asking::Polled), ("0", Asking::LookedAt)];
        let asking = self.query.word("capture", &words)?;
        Ok(asking.unwrap_or(usual))
    }

    fn weight(self, usual: Weight) -> Result<Weight, Refusal> {
        let words = [("tasks", Weight::Tasks), ("waited", Weight::Waited)];
        Ok(self.query.word("weight", &words)?.unwrap_or(usual))
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
        format!("this can be had as {}", media.join(", ")),
    )
}

#[cfg(test)]
mod tests;
