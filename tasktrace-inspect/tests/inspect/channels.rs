//! Tasks that wait for channels of other crates than tokio.

use crate::program::{PROFILES, Program};
use crate::tree::{check, state, task};

/// The trees, and the states of the channels.
const CASES: &[(&str, &str)] = &[
    (
        "channels::flume_receives @ flume_receives\n  flume::Receiver::recv_async",
        "0 of 4 messages, 2 senders",
    ),
    (
        "channels::flume_sends @ flume_sends\n  flume::Sender::send_async",
        "full, capacity 1, 1 receiver",
    ),
    (
        "channels::flume_meets @ flume_meets\n  flume::Sender::send_async",
        "full, capacity 0, 1 receiver",
    ),
    (
        "channels::flume_owns @ flume_owns\n  flume::Receiver::recv_async",
        "0 messages, 1 sender",
    ),
    (
        "channels::flume_streams @ flume_streams\n  flume::Receiver::stream",
        "0 of 3 messages, 1 sender",
    ),
    (
        "channels::async_receives @ async_receives\n  async_channel::Receiver::recv",
        "0 of 4 messages, 2 senders",
    ),
    (
        "channels::async_sends @ async_sends\n  async_channel::Sender::send",
        "full, capacity 3, 1 receiver",
    ),
    (
        "channels::async_sends_one @ async_sends_one\n  async_channel::Sender::send",
        "full, capacity 1, 1 receiver",
    ),
    (
        "channels::async_waits_for_end @ async_waits_for_end\n  async_channel::Sender::closed",
        "50 messages, 1 receiver",
    ),
    (
        "channels::async_receives_nothing @ async_receives_nothing\n  async_channel::Receiver::recv",
        "0 messages, 1 sender",
    ),
    (
        "channels::futures_receives @ futures_receives\n  futures_channel::mpsc::Receiver",
        "0 of 5 messages, 2 senders",
    ),
    (
        "channels::futures_receives_unbounded @ futures_receives_unbounded\n  futures_channel::mpsc::UnboundedReceiver",
        "0 messages, 1 sender",
    ),
    (
        "channels::futures_waits @ futures_waits\n  futures_channel::oneshot::Receiver",
        "no value yet",
    ),
    (
        "channels::flume_left @ flume_left\n  channels::Once\n    flume::Receiver::recv_async",
        "1 of 4 messages, 0 senders, closed",
    ),
    (
        "channels::async_left @ async_left\n  channels::Once\n    async_channel::Receiver::recv",
        "1 of 4 messages, 0 senders, closed",
    ),
    (
        "channels::futures_is_sent @ futures_is_sent\n  channels::Once\n    futures_channel::oneshot::Receiver",
        "the value was sent",
    ),
    (
        "channels::futures_left @ futures_left\n  channels::Once\n    futures_channel::oneshot::Receiver",
        "closed",
    ),
    (
        "channels::futures_messages_left @ futures_messages_left\n  channels::Once\n    futures_channel::mpsc::Receiver",
        "0 of 2 messages, 0 senders, closed",
    ),
];

#[test]
fn each_channel_is_shown_with_its_messages_and_its_other_end() {
    for profile in PROFILES {
        let program = Program::start("channels", profile);
        let report = program.inspect_at_rest();
        for (tree, expected) in CASES {
            check(&report, &[tree]);
            let name = tree.split(' ').next().unwrap();
            assert_eq!(state(task(&report, name)), *expected, "{name} {profile:?}");
        }
    }
}
