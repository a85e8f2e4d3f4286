//! A stream, as hyper has it, with a limit to how long a client may read nothing.

use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::accept::Stream;
use super::connection::Activity;

/// Requests are short.
const AT_A_TIME: usize = 4 << 10;

/// How often it is found out whether a client has left that sends nothing more.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Io<S> {
    stream: S,
    write_timeout: Duration,
    /// There while the client has not read what is to be written.
    stalled: Option<Pin<Box<Sleep>>>,
    /// There once the client has closed its half, while it is waited for a response that is made for it.
    alone: Option<Pin<Box<Sleep>>>,
    /// Until it is found out again whether the client has closed the other half as well.
    again: Option<Pin<Box<Sleep>>>,
    /// Nothing more will be read.
    is_at_end: bool,
    activity: Activity,
}

impl<S> Io<S> {
    pub(super) fn new(stream: S, write_timeout: Duration, activity: Activity) -> Self {
        activity.moved();
        Self {
            stream,
            write_timeout,
            stalled: None,
            alone: None,
            again: None,
            is_at_end: false,
            activity,
        }
    }

    /// The result of writing.
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

impl<S: Stream> Io<S> {
    /// Ready, with nothing read, when hyper may know that the client sends nothing more.
    ///
    /// hyper takes that for the end of the connection, but a client may have closed its half only, and
    /// wait. So hyper learns of it when the response is written, when the client is known to be gone, or when
    /// the response takes too long to make for somebody who may be. (hyper can be told to go on, but then it
    /// never learns of those.)
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.activity.alone() {
            None => Poll::Ready(Ok(())),
            // A client that does not read is noticed by the write side.
            Some(None) => Poll::Pending,
            Some(Some(time)) => {
                let alone = self.alone.get_or_insert_with(|| Box::pin(sleep(time)));
                if alone.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                self.poll_closed(cx).map(Ok)
            }
        }
    }

    /// Ready when the client is known to have closed the connection.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(again) = &mut self.again {
                ready!(again.as_mut().poll(cx));
            }
            let begun = Instant::now();
            if self.stream.is_closed() {
                return Poll::Ready(());
            }
            // Where that takes time, it is found out less often.
            let pause = LOOK_EVERY.max(100 * begun.elapsed());
            self.again = Some(Box::pin(sleep(pause)));
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
        let mut buffer = [0; AT_A_TIME];
        let length = into.remaining().min(AT_A_TIME);
        let mut read = ReadBuf::new(&mut buffer[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        if read.filled().is_empty() && length > 0 {
            self.is_at_end = true;
            return self.poll_end(cx);
        }
        into.put_slice(read.filled());
        self.activity.moved();
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
