//! Responses, and what goes with all of them.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::body::Body;
use super::single_flight::NoResponse;
use super::store::Full;

/// What a document may do in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Nothing.
    Nothing,
    /// What this says.
    Page(HeaderValue),
    /// It may run scripts, on behalf of nobody: it cannot reach anything, not even here.
    Sandbox,
}

/// A request that is not answered.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Policy {
    fn value(&self) -> HeaderValue {
        match self {
            Self::Nothing => HeaderValue::from_static(
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
            Self::Sandbox => HeaderValue::from_static(
                "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; \
                 style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'",
            ),
            Self::Page(policy) => policy.clone(),
        }
    }
}

/// A response with the headers that all have.
pub(super) fn response(
    status: StatusCode,
    media: &'static str,
    policy: &Policy,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.value());
    for (name, value) in [
        // What a document is, is said here and nowhere else.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The next one is different.
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Pages from elsewhere cannot make images or scripts of it.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A response of plain text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Body::whole(text);
    response(status, "text/plain; charset=utf-8", &Policy::Nothing, body)
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            header: None,
        }
    }

    fn with(self, name: HeaderName, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// What a parameter has to be.
    pub(super) fn parameter(name: &str, expected: &str) -> Self {
        let message = format!("the parameter `{name}` has to be {expected}");
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "there is nothing to be changed here: use GET or HEAD",
        )
        .with(header::ALLOW, "GET, HEAD")
    }

    pub(super) fn token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "this needs the token, as `Authorization: Bearer …`, or as the password of a user of any \
             name",
        )
        // The one that browsers know how to ask for.
        .with(
            header::WWW_AUTHENTICATE,
            "Basic realm=\"tasktrace\", Bearer realm=\"tasktrace\"",
        )
    }

    pub(super) fn host(host: Option<&str>) -> Self {
        match host {
            Some(host) => Self::new(
                StatusCode::FORBIDDEN,
                format!(
                    "this does not answer to the name {host:?}, for pages from elsewhere could make \
                     it theirs: use localhost, or have the program allow the name, with `allow_host`"
                ),
            ),
            None => Self::new(
                StatusCode::BAD_REQUEST,
                "a request needs exactly one `Host`",
            ),
        }
    }

    pub(super) fn site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "this was asked for by a page from elsewhere (`Sec-Fetch-Site` or `Origin` says so), and \
             pages from elsewhere may not have this program capture or profile: open the address \
             itself, or use curl",
        )
    }

    pub(super) fn profiles() -> Self {
        Self::later("too many requests are waiting for profiles: try again later")
    }

    fn later(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).with(header::RETRY_AFTER, "1")
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = text(self.status, format!("{}\n", self.message));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<NoResponse> for Refusal {
    fn from(why: NoResponse) -> Self {
        match why {
            NoResponse::Busy => {
                Self::later("too many dumps or profiles are being taken: try again later")
            }
            NoResponse::Failed => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "it panicked: the message is where the panics of the program go",
            ),
        }
    }
}

impl From<Full> for Refusal {
    fn from(why: Full) -> Self {
        match why {
            Full::TooLarge { largest } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!(
                    "this is larger than {largest} bytes: ask for text, folded stacks or pprof, which \
                     put together what is alike, or have the program allow more, with `max_response`"
                ),
            ),
            Full::Crowded => Self::later(
                "too much has been made that others have not fetched yet: try again later",
            ),
        }
    }
}
