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
        if path == "view.json" {
            return self.all(Form::View);
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
            ("image/svg+xml", Some(Form::Flamegraph(self.weight()?))),
            ("text/x-folded", Some(Form::Folded(self.weight()?))),
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
        let subject = Subject::Tasks(self.asking()?);
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
        let subject = Subject::Task(number, self.asking()?);
        Ok(Route::Job(Job { subject, form }))
    }

    fn form(self, extension: &str) -> Result<Form, Refusal> {
        match extension {
            "txt" => Ok(Form::Text),
            "json" => Ok(Form::Json),
            "folded" => Ok(Form::Folded(self.weight()?)),
            "svg" => Ok(Form::Flamegraph(self.weight()?)),
            "pb.gz" => Ok(Form::Pprof),
            _ => Err(self.nowhere()),
        }
    }

    fn asking(self) -> Result<Asking, Refusal> {
        let words = [("1", Asking::Polled), ("0", Asking::LookedAt)];
        let asking = self.query.word("capture", &words)?;
        Ok(asking.unwrap_or(Asking::Polled))
    }

    fn weight(self) -> Result<Weight, Refusal> {
        let words = [("tasks", Weight::Tasks), ("waited", Weight::Waited)];
        Ok(self.query.word("weight", &words)?.unwrap_or_default())
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
