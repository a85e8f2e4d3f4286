//! Adapts a stream to hyper, and limits the time for which a client may read nothing.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::accept::Stream;
use super::connection::{ConnectionActivity, ResponseProgress};

/// The number of bytes of one read. Requests are short.
const READ_SIZE: usize = 4 << 10;

/// The interval at which the server checks if a half-closed client has closed the connection.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Io<S> {
    stream: S,
    write_timeout: Duration,
    /// The timeout of a pending write.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// The timeout of the response in progress, once the client has closed its half.
    half_closed_timer: Option<Pin<Box<Sleep>>>,
    /// The delay until [`Stream::is_closed`] is called again.
    next_close_check: Option<Pin<Box<Sleep>>>,
    /// `true` if the client has closed its half, so that nothing more will be read.
    is_at_end: bool,
    activity: ConnectionActivity,
}

impl<S> Io<S> {
    pub(super) fn new(stream: S, write_timeout: Duration, activity: ConnectionActivity) -> Self {
        Self {
            stream,
            write_timeout,
            write_timer: None,
            half_closed_timer: None,
            next_close_check: None,
            is_at_end: false,
            activity,
        }
    }

    /// Handles the result of a write: a pending write fails after the timeout.
    fn check_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            self.activity.note_io();
            return written;
        }
        let timeout = self.write_timeout;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        let message = "the client does not read the response";
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, message)))
    }
}

impl<S: Stream> Io<S> {
    /// Reports the end of the client's half to hyper, after some delay.
    ///
    /// hyper closes the connection at this end, but the client may still wait for the response. So hyper learns of the
    /// end only when the response is written, when the client has certainly closed the connection, or when the response
    /// takes too long for a client that may have disconnected. (hyper can be configured to continue after the end, but
    /// then it never notices a disconnected client.)
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.activity.progress() {
            None => Poll::Ready(Ok(())),
            // The write side notices a client that does not read.
            Some(ResponseProgress::Writing) => Poll::Pending,
            Some(ResponseProgress::Answering { half_closed_limit }) => {
                let timer = self
                    .half_closed_timer
                    .get_or_insert_with(|| Box::pin(sleep(half_closed_limit)));
                if timer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                self.poll_closed(cx).map(Ok)
            }
        }
    }

    /// Returns ready when the client has certainly closed the connection.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(next_close_check) = &mut self.next_close_check {
                ready!(next_close_check.as_mut().poll(cx));
            }
            let begun = Instant::now();
            if self.stream.is_closed() {
                return Poll::Ready(());
            }
            // If the check takes long, it is made less often, so that it takes at most a hundredth of the time.
            let pause = CLOSE_CHECK_INTERVAL.max(100 * begun.elapsed());
            self.next_close_check = Some(Box::pin(sleep(pause)));
        }
    }
}

impl<S: Stream> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        if self.is_at_end {
            return self.poll_end(cx);
        }
        let mut buffer = [0; READ_SIZE];
        let length = into.remaining().min(READ_SIZE);
        let mut read = ReadBuf::new(&mut buffer[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        if read.filled().is_empty() && length > 0 {
            self.is_at_end = true;
            return self.poll_end(cx);
        }
        into.put_slice(read.filled());
        self.activity.note_io();
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.check_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.check_write(cx, shut_down)
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
        self.check_write(cx, written)
    }
}
