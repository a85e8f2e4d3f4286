//! Builds responses and the headers that all of them have.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::backend::GatherError;
use super::body::Body;
use super::single_flight::NoResponse;
use super::store::Full;

/// The content security policy of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// The document may load and run nothing.
    Nothing,
    /// The document may do what this value allows.
    Page(HeaderValue),
    /// The document may run its own scripts, in an origin of its own, from which it cannot reach this server or any
    /// other.
    Sandbox,
}

/// An error response.
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

/// Returns a response with the headers that all responses have.
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
        // The browser must not guess another media type.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Each response shows the current state.
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Pages on other sites cannot embed the response as an image or a script.
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

/// Returns a response of plain text.
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

    fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Returns the error for a parameter that is not valid. `expected` describes valid values.
    pub(super) fn parameter(name: &str, expected: &str) -> Self {
        let message = format!("the parameter `{name}` must be {expected}");
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are supported",
        )
        .with_header(header::ALLOW, "GET, HEAD")
    }

    pub(super) fn token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "a token is required: send it as `Authorization: Bearer …`, or as the password with any user name",
        )
        // Browsers ask the user for credentials of the first scheme.
        .with_header(
            header::WWW_AUTHENTICATE,
            "Basic realm=\"tasktrace\", Bearer realm=\"tasktrace\"",
        )
    }

    pub(super) fn host(host: Option<&str>) -> Self {
        match host {
            Some(host) => Self::new(
                StatusCode::FORBIDDEN,
                format!(
                    "the host name {host:?} is not allowed, because web pages of other sites could use it to reach \
                     this server: use localhost, or allow the name in the program with `allow_host`"
                ),
            ),
            None => Self::new(
                StatusCode::BAD_REQUEST,
                "a request needs exactly one `Host` header",
            ),
        }
    }

    pub(super) fn site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "a web page of another site sent this request (according to `Sec-Fetch-Site` or `Origin`), and such \
             pages may not start captures or profiles: open the address itself, or use curl",
        )
    }

    pub(super) fn too_many_profiles() -> Self {
        Self::later("too many requests are waiting for profiles: try again later")
    }

    /// Returns the error for a document that was not written.
    pub(super) fn unwritten(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Unsupported => Self::new(
                StatusCode::NOT_ACCEPTABLE,
                "this data is not available in this format",
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the response cannot be written: {error}"),
            ),
        }
    }

    fn later(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).with_header(header::RETRY_AFTER, "1")
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = text(self.status, format!("{}\n", self.message));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<GatherError> for Refusal {
    fn from(why: GatherError) -> Self {
        match why {
            GatherError::NotFound(message) => Self::not_found(message),
            // No client is left that could read the error.
            GatherError::Cancelled => NoResponse::Busy.into(),
        }
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
                "the dump or profile panicked: the program's panic output has the message",
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
                    "the response is larger than {largest} bytes: ask for text, folded stacks or pprof, which merge \
                     equal stacks, or allow more in the program with `max_response`"
                ),
            ),
            Full::Crowded => Self::later(
                "too many responses wait to be fetched by other clients: try again later",
            ),
        }
    }
}
