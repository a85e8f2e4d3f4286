//! Yields the bodies of responses.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::store::StoredResponse;

/// The body of a response of [`TasksService`](super::TasksService).
///
/// It yields chunks as fast as the client reads them. If the client does not read the body
/// [in time](super::Builder::write_timeout), it yields [`Expired`] instead of the rest.
///
/// ```
/// use http_body::Body;
/// use tower_service::Service;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let request = http::Request::get("http://localhost/dump.txt").body(()).unwrap();
/// let response = tasktrace::http::service().call(request).await.unwrap();
/// assert!(response.body().size_hint().exact().is_some());
/// # }
/// ```
pub struct Body(BodyKind);

enum BodyKind {
    /// The whole body, until it is yielded.
    Whole(Bytes),
    /// A body in the store, of which the bytes before `position` were yielded.
    Stored {
        response: Arc<StoredResponse>,
        position: usize,
    },
}

/// The error of a response that the client did not read in time. The rest of the response was discarded.
///
/// ```
/// fn is_slow(error: &(dyn std::error::Error + 'static)) -> bool {
///     error.is::<tasktrace::http::Expired>()
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Expired;

impl Body {
    pub(super) fn empty() -> Self {
        Self(BodyKind::Whole(Bytes::new()))
    }

    pub(super) fn whole(text: impl Into<Bytes>) -> Self {
        Self(BodyKind::Whole(text.into()))
    }

    pub(super) fn stored(response: Arc<StoredResponse>) -> Self {
        let position = 0;
        Self(BodyKind::Stored { response, position })
    }

    fn left(&self) -> usize {
        match &self.0 {
            BodyKind::Whole(bytes) => bytes.len(),
            BodyKind::Stored { response, position } => response.len() - position,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Expired;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Expired>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let chunk = match &mut self.0 {
            BodyKind::Whole(bytes) => Ok(std::mem::take(bytes)),
            BodyKind::Stored { response, position } => {
                response.chunk(*position).map(Bytes::from).ok_or(Expired)
            }
        };
        match (&mut self.0, &chunk) {
            (BodyKind::Stored { position, .. }, Ok(chunk)) => *position += chunk.len(),
            (kind, Err(Expired)) => *kind = BodyKind::Whole(Bytes::new()),
            (BodyKind::Whole(_), Ok(_)) => {}
        }
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left() as u64)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("left", &self.left()).finish()
    }
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has not read the response in time")
    }
}

impl Error for Expired {}
