//! Channels that are waited for: those of tokio, futures, flume and async-channel.

use super::node::{Bounded, OneshotState, Peers, Resource};
use super::walk::Walk;
use crate::address::Address;
use crate::debug::Kind;
use crate::value::Value;

/// The end of a channel that a future uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Receiver,
    Sender,
}

impl Walk<'_, '_, '_, '_> {
    /// Returns the bounded channel with this semaphore that a sender, or a reference to one, leads to.
    pub(super) fn bounded_channel(&self, sender: Value, semaphore: Address) -> Option<Bounded> {
        /// A reference to the sender, and the pointer in the sender.
        const POINTERS: usize = 2;
        let reader = self.reader();
        let mut value = sender;
        for _ in 0..POINTERS {
            value = reader.follow_arc(value)?;
            let Some(permits) = reader.find_type(value, "tokio::sync::mpsc::bounded::Semaphore")
            else {
                continue;
            };
            let inner = reader.find(permits, "semaphore")?;
            let capacity = reader.number(reader.find(permits, "bound")?)?;
            return (inner.address == semaphore).then_some(Bounded {
                address: value.address,
                capacity,
            });
        }
        None
    }

    /// Reads the channel `mpsc` of tokio.
    pub(super) fn channel(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let channel = reader.follow_arc(reader.find(value, "inner")?)?;
        let semaphore = reader.find(channel, "semaphore")?;
        let bound = self.number(semaphore, "bound");
        let (length, is_closed) = match bound {
            Some(bound) => {
                let permits = self.number(semaphore, "permits");
                let length = permits.map(|permits| bound.saturating_sub(permits >> 1));
                (length, permits.map(|permits| permits & 1 != 0))
            }
            // The number of messages, with a bit that says that it is closed.
            None => {
                let state = reader.number(semaphore);
                (state.map(|it| it >> 1), state.map(|it| it & 1 != 0))
            }
        };
        Some(Resource::Channel {
            address: channel.address,
            length,
            capacity: bound,
            peers: self.number(channel, "tx_count").map(Peers::Senders),
            is_closed: is_closed.unwrap_or_default(),
        })
    }

    pub(super) fn broadcast(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let receiver = reader.follow(reader.find(value, "receiver")?)?;
        let channel = reader.follow_arc(reader.find(receiver, "shared")?)?;
        let tail = reader.find(channel, "tail")?;
        let next = self.number(receiver, "next");
        let length = self.number(tail, "pos").zip(next);
        Some(Resource::Channel {
            address: channel.address,
            // Positions wrap around.
            length: length.map(|(end, next)| end.wrapping_sub(next)),
            capacity: self.number(reader.find(channel, "buffer")?, "length"),
            peers: self.number(channel, "num_tx").map(Peers::Senders),
            is_closed: self
                .number(tail, "closed")
                .is_some_and(|closed| closed != 0),
        })
    }

    pub(super) fn oneshot(&self, value: Value) -> Option<Resource> {
        /// The bits in the state.
        const VALUE_SENT: u64 = 1 << 1;
        const CLOSED: u64 = 1 << 2;
        let reader = self.reader();
        let (_, arc) = self.variant_of(reader.find(value, "inner")?)?;
        let inner = reader.follow_arc(arc)?;
        let state = self.number(inner, "state")?;
        Some(Resource::Oneshot {
            address: inner.address,
            state: match () {
                () if state & VALUE_SENT != 0 => OneshotState::Sent,
                () if state & CLOSED != 0 => OneshotState::Closed,
                () => OneshotState::Waiting,
            },
        })
    }

    /// Reads the channel of flume that a future receives from or sends to.
    pub(super) fn flume(&self, future: Value, end: End) -> Option<Resource> {
        let reader = self.reader();
        let shared = self.shared_part(self.field_of_end(future, end)?, "flume::Shared")?;
        // Nothing, or the capacity with the senders that wait.
        let (state, sending) = self.variant_of(reader.find(shared, "sending")?)?;
        let capacity = match state {
            "Some" => Some(reader.number(reader.find(reader.find(sending, "__0")?, "__0")?)?),
            _ => None,
        };
        let queue = reader.find(shared, "queue")?;
        Some(Resource::Channel {
            address: shared.address,
            length: self.number(queue, "len"),
            capacity,
            peers: self.peers(shared, end),
            is_closed: self.number(shared, "disconnected")? != 0,
        })
    }

    /// Reads the channel of async-channel that a future receives from or sends to.
    pub(super) fn async_channel(&self, future: Value, end: End) -> Option<Resource> {
        let reader = self.reader();
        let shared = self.shared_part(self.field_of_end(future, end)?, "async_channel::Channel")?;
        let queue = self.concurrent_queue(reader.find(shared, "queue")?)?;
        Some(Resource::Channel {
            address: shared.address,
            length: Some(queue.length),
            capacity: queue.capacity,
            peers: self.peers(shared, end),
            is_closed: queue.is_closed,
        })
    }

    /// Reads a channel `mpsc` of futures.
    pub(super) fn futures_channel(&self, receiver: Value) -> Option<Resource> {
        /// The bit in the state that is set until the channel is closed. The others are the number of messages.
        const OPEN: u64 = 1 << 63;
        let channel = self.pointed_at(self.reader().find(receiver, "inner")?)?;
        let state = self.number(channel, "state")?;
        let senders = self.number(channel, "num_senders");
        let buffer = self.number(channel, "buffer");
        Some(Resource::Channel {
            address: channel.address,
            length: Some(state & !OPEN),
            // Each sender has a place of its own.
            capacity: buffer.map(|buffer| buffer.saturating_add(senders.unwrap_or_default())),
            peers: senders.map(Peers::Senders),
            is_closed: state & OPEN == 0,
        })
    }

    /// Reads a oneshot channel of futures.
    pub(super) fn futures_oneshot(&self, receiver: Value) -> Option<Resource> {
        let reader = self.reader();
        let inner = self.pointed_at(reader.find(receiver, "inner")?)?;
        let is_complete = self.number(inner, "complete")? != 0;
        let value = reader.find(reader.find(inner, "data")?, "data")?;
        let (state, _) = self.variant_of(reader.find(value, "value")?)?;
        Some(Resource::Oneshot {
            address: inner.address,
            state: match (is_complete, state) {
                (false, _) => OneshotState::Waiting,
                (true, "Some") => OneshotState::Sent,
                (true, _) => OneshotState::Closed,
            },
        })
    }

    /// Returns the field of a future that leads to the channel.
    fn field_of_end(&self, future: Value, end: End) -> Option<Value> {
        self.reader().find(
            future,
            match end {
                End::Receiver => "receiver",
                End::Sender => "sender",
            },
        )
    }

    /// Returns the shared part of a channel, of the type with this path, that an end of the channel or a reference to one
    /// leads to.
    fn shared_part(&self, end: Value, path: &str) -> Option<Value> {
        let first = self.pointed_at(end)?;
        match self.is(first, path) {
            true => Some(first),
            false => {
                let second = self.pointed_at(first)?;
                self.is(second, path).then_some(second)
            }
        }
    }

    /// Counts the other ends of a channel.
    fn peers(&self, shared: Value, end: End) -> Option<Peers> {
        match end {
            End::Receiver => self.number(shared, "sender_count").map(Peers::Senders),
            End::Sender => self.number(shared, "receiver_count").map(Peers::Receivers),
        }
    }

    /// Reads a queue of the crate concurrent-queue.
    fn concurrent_queue(&self, queue: Value) -> Option<Queued> {
        let reader = self.reader();
        let (kind, inner) = self.variant_of(reader.find(queue, "__0")?)?;
        // Positions are padded to the size of a cache line.
        let position = |end, name| reader.number(reader.find(reader.find(inner, end)?, name)?);
        match kind {
            "Single" => {
                /// The bits in the state of a queue with room for one message.
                const PUSHED: u64 = 1 << 1;
                const CLOSED: u64 = 1 << 2;
                let state = self.number(inner, "state")?;
                Some(Queued {
                    length: u64::from(state & PUSHED != 0),
                    capacity: Some(1),
                    is_closed: state & CLOSED != 0,
                })
            }
            "Bounded" => {
                let (head, tail) = (position("head", "value")?, position("tail", "value")?);
                let capacity = self.number(reader.find(inner, "buffer")?, "length")?;
                let mark = self.number(inner, "mark_bit")?;
                Some(Queued {
                    length: length_of_ring(head, tail, mark, capacity),
                    capacity: Some(capacity),
                    is_closed: tail & mark != 0,
                })
            }
            "Unbounded" => {
                let (head, tail) = (position("head", "index")?, position("tail", "index")?);
                Some(Queued {
                    length: length_of_blocks(head >> 1, tail >> 1, self.room_of_block(inner)?),
                    capacity: None,
                    // The lowest bit of the index says that the queue is closed.
                    is_closed: tail & 1 != 0,
                })
            }
            _ => None,
        }
    }

    /// Returns the number of messages that a block of an unbounded queue has room for.
    fn room_of_block(&self, queue: Value) -> Option<u64> {
        let reader = self.reader();
        let block = reader.find_pointer(reader.find(queue, "block")?)?;
        let Kind::Pointer(Some(block)) = reader.ty(block)?.kind else {
            return None;
        };
        let (_, slots) = reader.offset(block, "slots")?;
        match reader.types.get(slots)?.kind {
            Kind::Array(_, room) => Some(room),
            _ => None,
        }
    }

    /// Returns the name of the variant that an enum is, and its fields.
    fn variant_of(&self, value: Value) -> Option<(&str, Value)> {
        let reader = self.reader();
        let ty = reader.ty(value)?;
        let (variant, fields) = reader.variant(value, &ty)?;
        let name = reader.types.get(variant.member.id)?.name;
        Some((name, fields))
    }
}

/// The state of a queue of the crate concurrent-queue.
struct Queued {
    length: u64,
    /// Nothing if it is unbounded.
    capacity: Option<u64>,
    is_closed: bool,
}

/// Returns the number of messages in a ring between two positions: each is an index in the bits below `mark`, and the
/// number of the round in those above it.
fn length_of_ring(head: u64, tail: u64, mark: u64, capacity: u64) -> u64 {
    let index = |position| position & mark.wrapping_sub(1);
    match (index(head), index(tail)) {
        (head, tail) if head < tail => tail - head,
        (head, tail) if head > tail => capacity.saturating_sub(head).saturating_add(tail),
        _ if head == tail & !mark => 0,
        _ => capacity,
    }
}

/// Returns the number of messages between two positions in blocks with room for `room` messages. Each block takes one
/// position more, which is that of no message.
fn length_of_blocks(head: u64, tail: u64, room: u64) -> u64 {
    let lap = room.saturating_add(1);
    let before = |position: u64| {
        let whole = (position / lap).wrapping_mul(room);
        whole.wrapping_add((position % lap).min(room))
    };
    before(tail).saturating_sub(before(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_a_ring_are_counted_over_its_end() {
        // Indices below 4, rounds above 8.
        assert_eq!(length_of_ring(0, 0, 4, 3), 0);
        assert_eq!(length_of_ring(0, 2, 4, 3), 2);
        assert_eq!(length_of_ring(0, 8, 4, 3), 3);
        assert_eq!(length_of_ring(2, 9, 4, 3), 2);
        assert_eq!(length_of_ring(9, 9 | 4, 4, 3), 0);
    }

    #[test]
    fn positions_between_blocks_are_no_messages() {
        assert_eq!(length_of_blocks(0, 31, 31), 31);
        assert_eq!(length_of_blocks(0, 32, 31), 31);
        assert_eq!(length_of_blocks(31, 33, 31), 1);
        assert_eq!(length_of_blocks(10, 70, 31), 58);
    }
}
