//! Tests generated streams, and streams of combinators.

use super::*;

#[test]
fn a_generated_stream_is_a_frame() {
    async fn waits(at: AwaitPoint) {
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
            "a_generated_stream_is_a_frame::waits:+3",
            "  a_generated_stream_is_a_frame::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn an_unfolded_stream_is_a_frame() {
    async fn waits(at: AwaitPoint) {
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
            "an_unfolded_stream_is_a_frame::waits:+3",
            "  an_unfolded_stream_is_a_frame::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}
