//! Streams: generated ones, and those of combinators.

use super::*;

#[test]
fn generated_streams() {
    async fn waits(at: At) {
        use futures::StreamExt;
        let stream = async_stream::stream! {
            at.next(line!());
            yield sleep(HOUR).await;
        };
        futures::pin_mut!(stream);
        stream.next().await;
    }

    check(
        waits,
        &[
            "generated_streams::waits:+3",
            "  generated_streams::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn unfolded_streams() {
    async fn waits(at: At) {
        use futures::StreamExt;
        let stream = futures::stream::unfold(at, async |at| {
            at.next(line!());
            Some((sleep(HOUR).await, at))
        });
        let mut stream = Box::pin(stream.map(|()| 1).fuse());
        stream.next().await;
    }

    check(
        waits,
        &[
            "unfolded_streams::waits:+3",
            "  unfolded_streams::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}
