//! Shows the requests of services as tasks, or as frames of the tasks that serve their connections.

use std::panic::Location;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, header};
use tower_layer::Layer;
use tower_service::Service;

use crate::origin::{Identity, Origin};
use crate::task::TracedFuture;

/// The largest number of characters in the name of a request.
const MAX_LENGTH: usize = 120;

/// A layer that shows each request as `request "GET /orders"`, until its response begins.
///
/// In a traced connection, as with the executor of the feature `hyper`, the request is a frame of the connection's
/// task. Otherwise each request is a task, as with `axum::serve`, whose connections are not traced. Add the layer
/// last, so that it wraps all other layers and shows their waits as well.
///
/// The name of a request is its method and its path, without the query. A gRPC request is named by its path, which is
/// the method that it calls. A name has at most 120 characters, and no control characters.
/// [`named`](Self::named) sets a different name.
///
/// ```
/// use tasktrace::tower::TraceLayer;
/// use tower_layer::Layer;
/// # let router = ();
///
/// let service = TraceLayer::new().layer(router);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer<N = MethodAndPath> {
    namer: N,
    location: &'static Location<'static>,
}

/// A service that [`TraceLayer`] wraps.
#[derive(Clone, Copy, Debug)]
pub struct Traced<S, N = MethodAndPath> {
    service: S,
    layer: TraceLayer<N>,
}

/// Names requests. Functions from `&Request<B>` to `String` implement it.
pub trait NameRequest<B> {
    /// Returns the name of the request.
    fn name(&self, request: &Request<B>) -> String;
}

/// Names requests by method and path, such as `GET /orders`. This is the default of [`TraceLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct MethodAndPath;

impl TraceLayer {
    /// Returns a layer that names requests by method and path.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self::named(MethodAndPath)
    }
}

impl Default for TraceLayer {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<N> TraceLayer<N> {
    /// Returns a layer that names requests with a function, which it calls once for each request.
    ///
    /// ```
    /// use tasktrace::tower::TraceLayer;
    ///
    /// let layer = TraceLayer::named(|request: &http::Request<()>| {
    ///     let id = request.headers().get("x-request-id");
    ///     format!("{} {id:?}", request.uri().path())
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[track_caller]
    pub fn named(namer: N) -> Self {
        Self {
            namer,
            location: Location::caller(),
        }
    }
}

impl<B, F> NameRequest<B> for F
where
    F: Fn(&Request<B>) -> String,
{
    fn name(&self, request: &Request<B>) -> String {
        self(request)
    }
}

impl<B> NameRequest<B> for MethodAndPath {
    fn name(&self, request: &Request<B>) -> String {
        let path = request.uri().path();
        let media = request.headers().get(header::CONTENT_TYPE);
        match media.map(HeaderValue::as_bytes) {
            Some(media) if media.starts_with(b"application/grpc") => path.to_owned(),
            _ => format!("{} {path}", request.method()),
        }
    }
}

/// Returns the name on one line, truncated to [`MAX_LENGTH`] characters.
fn shortened(name: &str) -> String {
    let printed = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shortened: String = name.chars().take(MAX_LENGTH).map(printed).collect();
    if name.chars().nth(MAX_LENGTH).is_some() {
        shortened.pop();
        shortened.push('…');
    }
    shortened
}

impl<S, N: Clone> Layer<S> for TraceLayer<N> {
    type Service = Traced<S, N>;

    fn layer(&self, service: S) -> Traced<S, N> {
        Traced {
            service,
            layer: self.clone(),
        }
    }
}

impl<S, B, N> Service<Request<B>> for Traced<S, N>
where
    S: Service<Request<B>>,
    N: NameRequest<B>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TracedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let name = shortened(&self.layer.namer.name(&request));
        let origin = Origin::Named {
            name: "request",
            location: self.layer.location,
        };
        let identity = Identity::new(origin, Some(name.into()), None);
        TracedFuture::new(identity, self.service.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, uri: &str, media: &str) -> String {
        let request = Request::builder().method(method).uri(uri);
        let request = request.header(header::CONTENT_TYPE, media).body(());
        shortened(&MethodAndPath.name(&request.expect("it is a request")))
    }

    #[test]
    fn a_request_is_named_by_method_and_path() {
        assert_eq!(
            name("GET", "/orders?token=secret", "text/plain"),
            "GET /orders"
        );
        assert_eq!(
            name(
                "POST",
                "http://[::1]:1/shop.Orders/List",
                "application/grpc+proto"
            ),
            "/shop.Orders/List"
        );
    }

    #[test]
    fn names_are_bounded_and_have_no_control_characters() {
        let long = shortened(&format!("GET /{}", "ä".repeat(1000)));
        assert_eq!(long.chars().count(), MAX_LENGTH);
        assert!(long.ends_with("ä…"));
        assert_eq!(shortened("a\n\u{1b}[31mb"), "a\u{fffd}\u{fffd}[31mb");
        assert_eq!(shortened(&"x".repeat(MAX_LENGTH)), "x".repeat(MAX_LENGTH));
    }
}
