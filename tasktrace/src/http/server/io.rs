//! A stream, as hyper has it, with a limit to how long a client may read nothing.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::Activity;

/// Requests are short.
const AT_A_TIME: usize = 4 << 10;

pub(super) struct Io<S> {
    stream: S,
    write_timeout: Duration,
    /// There while the client has not read what is to be written.
    stalled: Option<Pin<Box<Sleep>>>,
    activity: Activity,
}

impl<S> Io<S> {
    pub(super) fn new(stream: S, write_timeout: Duration, activity: Activity) -> Self {
        activity.moved();
        Self {
            stream,
            write_timeout,
            stalled: None,
            activity,
        }
    }

    /// What has come of writing.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            self.activity.moved();
            return written;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        let message = "the client does not read the response";
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        let mut buffer = [0; AT_A_TIME];
        let length = into.remaining().min(AT_A_TIME);
        let mut read = ReadBuf::new(&mut buffer[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        into.put_slice(read.filled());
        self.activity.moved();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(cx, shut_down)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }
}
