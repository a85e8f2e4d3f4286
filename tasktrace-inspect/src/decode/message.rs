//! Messages that were sent and not received: they belong to who has the receiver.

use super::collection::{Inner, NOTHING};
use super::walk::Walk;
use crate::debug::Kind;
use crate::value::Value;

/// The bit in the state of a oneshot channel that is set when the value was sent.
const VALUE_SENT: u64 = 1 << 1;

impl Walk<'_, '_, '_, '_> {
    /// Returns the messages in the queue of a channel.
    ///
    /// Senders change its blocks all the time. But only the receiver takes messages and frees blocks, so messages stay
    /// where they are while the task of the receiver waits. Only the messages are recorded, not the way to them.
    pub(super) fn messages(&self, receiver: Value) -> Inner {
        let is_recorded = self.reader().memory.pause();
        let messages = match is_of_futures(&self.reader().types.path(receiver.id)) {
            true => self.queued_by_futures(receiver),
            false => self.queued(receiver),
        };
        if is_recorded {
            self.reader().memory.resume();
        }
        match messages {
            Some((messages, more)) => Inner::Values(messages, more),
            None => Inner::Problem(format!(
                "the messages of the channel at {} cannot be read",
                receiver.address
            )),
        }
    }

    fn queued(&self, receiver: Value) -> Option<(Vec<Value>, Option<String>)> {
        let reader = self.reader();
        let ty = reader.ty(receiver)?;
        let id = *ty.structure()?.parameters.first()?;
        let size = reader.types.get(id)?.size;
        let channel = reader.follow_arc(reader.find(receiver, "inner")?)?;
        let list = reader.find(channel, "rx_fields")?;
        let mut index = reader.number(reader.find(list, "index")?)?;
        let mut block = reader.follow(reader.find(list, "head")?)?;
        let mut messages = Vec::new();
        let mut blocks = 0;
        loop {
            let start = reader.number(reader.find(block, "start_index")?)?;
            let ready = reader.number(reader.find(block, "ready_slots")?)?;
            let slots = reader.find(block, "values")?;
            let slots = reader.find(slots, "__0")?;
            let Kind::Array(_, room) = reader.ty(slots)?.kind else {
                return None;
            };
            // Positions wrap around.
            let mut slot = index.wrapping_sub(start);
            while slot < room.min(64) {
                if ready >> slot & 1 == 0 {
                    return Some((messages, None));
                }
                if messages.len() >= self.decoder.limits.elements {
                    return Some((messages, Some("more are not shown".to_owned())));
                }
                let address = slots.address.offset(slot.wrapping_mul(size));
                messages.push(Value { address, id });
                slot += 1;
                index = index.wrapping_add(1);
            }
            blocks += 1;
            if blocks > self.decoder.limits.elements {
                return None;
            }
            match reader.follow(reader.find(block, "next")?) {
                Some(next) => block = next,
                None => return Some((messages, None)),
            }
        }
    }

    /// Returns the messages in a channel of futures. The first node of its list has been received.
    fn queued_by_futures(&self, receiver: Value) -> Option<(Vec<Value>, Option<String>)> {
        let reader = self.reader();
        let option = reader.find(receiver, "inner")?;
        let ty = reader.ty(option)?;
        let (_, arc) = reader.variant(option, &ty)?;
        // A receiver that has seen the end of the channel has dropped its `Arc`.
        let Some(channel) = reader.follow_arc(arc) else {
            return Some((Vec::new(), None));
        };
        let queue = reader.find(channel, "message_queue")?;
        let received = reader.follow(reader.find(queue, "tail")?)?;
        let next = |node| reader.follow(reader.find(node, "next")?);
        Some(self.linked(next(received), "value", next))
    }

    /// Returns the value in a oneshot channel, if it was sent.
    pub(super) fn message(&self, receiver: Value) -> Inner {
        let reader = self.reader();
        let value = || {
            let option = reader.find(receiver, "inner")?;
            let ty = reader.ty(option)?;
            let (_, arc) = reader.variant(option, &ty)?;
            let inner = reader.follow_arc(arc)?;
            let state = reader.number(reader.find(inner, "state")?)?;
            reader
                .find(inner, "value")
                .filter(|_| state & VALUE_SENT != 0)
        };
        match value() {
            Some(value) => Inner::Values(vec![value], None),
            None => NOTHING,
        }
    }
}

/// Returns `true` for the paths of receivers of futures.
fn is_of_futures(path: &str) -> bool {
    path.starts_with("futures_channel::")
}
