//! Resources that are waited for, and their states.

use std::collections::HashMap;
use std::rc::Rc;

use super::async_lock::Lock;
use super::kind::Leaf;
use super::label::Role;
use super::node::{Label, NodeKind, Nodes, Resource};
use super::walk::Walk;
use crate::address::Address;
use crate::debug::{TypeId, public_path};
use crate::text::Text;
use crate::value::Value;

/// The futures that wait for permits of a semaphore or for a notification: the place of each, from 1.
pub(crate) struct Queue {
    places: HashMap<Address, usize>,
}

impl Walk<'_, '_, '_, '_> {
    /// Shows a leaf with its state. Returns the semaphore that it waits for.
    pub(super) fn leaf(&self, value: Value, leaf: Leaf, out: &mut Nodes) -> Option<Address> {
        let label = self.decoder.labels.get(value.id, Role::Leaf, || {
            Label::new(NodeKind::Leaf, self.leaf_name(value.id, leaf))
        });
        let resource = self.resource(value, leaf);
        let semaphore = match &resource {
            Some(Resource::Permits { semaphore, .. }) => Some(*semaphore),
            _ => None,
        };
        let at = out.open(label);
        out.set_resource(at, resource);
        if leaf == Leaf::JoinSet {
            self.unrecorded(|| self.tasks_of_set(value, out));
        }
        out.close(at);
        semaphore
    }

    /// Reads the state of a leaf.
    pub(super) fn resource(&self, value: Value, leaf: Leaf) -> Option<Resource> {
        self.unrecorded(|| match leaf {
            Leaf::Sleep => self.sleep(value),
            Leaf::Acquire => self.acquire(value),
            Leaf::Channel => self.channel(value),
            Leaf::Broadcast => self.broadcast(value),
            Leaf::FuturesChannel => self.futures_channel(value),
            Leaf::AsyncChannel(end, _) => self.async_channel(value, end),
            Leaf::Flume(end, _) => self.flume(value, end),
            Leaf::Oneshot => self.oneshot(value),
            Leaf::FuturesOneshot => self.futures_oneshot(value),
            Leaf::Notified => self.notified(value),
            Leaf::Join => self.join(value),
            Leaf::Task => self.task(value),
            Leaf::JoinSet => self.join_set(value),
            Leaf::Socket => self.socket(value),
            Leaf::Lock(wait, _) => self.awaited_lock(value, wait).map(lock_resource),
            Leaf::Called(_) | Leaf::Named => None,
        })
    }

    /// Pauses the record of memory for `read`, which reads a resource: resources are shared, so they may change while
    /// the task does not.
    fn unrecorded<R>(&self, read: impl FnOnce() -> R) -> R {
        let is_recorded = self.reader().memory.pause();
        let result = read();
        if is_recorded {
            self.reader().memory.resume();
        }
        result
    }

    fn leaf_name(&self, id: TypeId, leaf: Leaf) -> Text {
        match leaf {
            Leaf::Sleep => "tokio::time::sleep".into(),
            Leaf::Acquire => "tokio::sync::Semaphore::acquire".into(),
            Leaf::Channel => "tokio::sync::mpsc::Receiver::recv".into(),
            Leaf::Broadcast => "tokio::sync::broadcast::Receiver::recv".into(),
            Leaf::Oneshot => "tokio::sync::oneshot::Receiver".into(),
            Leaf::Notified => "tokio::sync::Notify::notified".into(),
            Leaf::Join => "tokio::task::JoinHandle".into(),
            Leaf::Task => "async_task::Task".into(),
            Leaf::JoinSet => "tokio::task::JoinSet::join_next".into(),
            Leaf::Socket => "a socket".into(),
            Leaf::Lock(_, function)
            | Leaf::AsyncChannel(_, function)
            | Leaf::Flume(_, function)
            | Leaf::Called(function) => function.into(),
            Leaf::Named | Leaf::FuturesChannel | Leaf::FuturesOneshot => {
                public_path(&self.reader().types.path(id)).into()
            }
        }
    }

    /// Reads when a timer ends: the first `Instant` named `deadline`.
    pub(super) fn sleep(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let deadline = reader.find(value, "deadline");
        let deadline = deadline.or_else(|| {
            // A `Timeout` has a field `delay`, which contains a timer or nothing.
            let delay = reader.find(value, "delay")?;
            let ty = reader.ty(delay)?;
            let timer = match reader.variant(delay, &ty) {
                Some((_, timer)) => timer,
                None => delay,
            };
            reader.find(timer, "deadline")
        })?;
        let seconds = reader.number(reader.find(deadline, "tv_sec")?)?;
        let nanoseconds = reader.number(reader.find(deadline, "tv_nsec")?)?;
        Some(Resource::Sleep {
            seconds: seconds as i64,
            nanoseconds: nanoseconds as u32,
        })
    }

    fn acquire(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let node = reader.find(value, "node")?;
        let missing = reader.number(reader.find(node, "state")?)?;
        let is_queued = reader.number(reader.find(value, "queued")?)? != 0;
        let semaphore = reader.follow(reader.find(value, "semaphore")?)?;
        let permits = reader.number(reader.find(semaphore, "permits")?)?;
        let queue = self.queue(semaphore, node.id);
        let place = queue.places.get(&node.address);
        Some(Resource::Permits {
            semaphore: semaphore.address,
            free: permits >> 1,
            missing,
            queue: place.map(|place| (*place, queue.places.len())),
            is_granted: is_queued && missing == 0,
            is_closed: permits & 1 != 0,
            channel: None,
        })
    }

    /// Reads the queue of a semaphore or of a `Notify`, whose last element is served first.
    fn queue(&self, of: Value, waiter: TypeId) -> Rc<Queue> {
        let known = self.decoder.queues.borrow().get(&of.address).cloned();
        if let Some(queue) = known {
            return queue;
        }
        let reader = self.reader();
        let mut places = HashMap::new();
        let tail = reader.find(of, "tail");
        let mut next = tail.and_then(|tail| reader.pointer(tail));
        let before = reader.offset(waiter, "prev").map(|(offset, _)| offset);
        while let (Some(address), Some(before)) = (next, before) {
            if address.is_null() || places.len() >= self.decoder.limits.elements {
                break;
            }
            let place = places.len() + 1;
            if places.insert(address, place).is_some() {
                break;
            }
            next = reader.pointer(Value {
                address: address.offset(before),
                id: waiter,
            });
        }
        let queue = Rc::new(Queue { places });
        let mut queues = self.decoder.queues.borrow_mut();
        queues.insert(of.address, Rc::clone(&queue));
        queue
    }

    fn notified(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let notify = reader.follow_arc(reader.find(value, "notify")?)?;
        let waiter = reader.find(value, "waiter")?;
        let notification = reader.number(reader.find(waiter, "notification")?)?;
        let queue = self.queue(notify, waiter.id);
        let place = queue.places.get(&waiter.address);
        Some(Resource::Notify {
            address: notify.address,
            queue: place.map(|place| (*place, queue.places.len())),
            is_notified: notification != 0,
        })
    }

    fn join(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let pointer = reader.find_pointer(reader.find(value, "raw")?)?;
        Some(Resource::Join {
            header: reader.pointer(pointer)?,
        })
    }

    fn task(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        Some(Resource::Join {
            header: reader.pointer(reader.find_pointer(value)?)?,
        })
    }

    fn join_set(&self, value: Value) -> Option<Resource> {
        let reader = self.reader();
        let length = reader.find(value, "length");
        Some(Resource::JoinSet {
            length: length.and_then(|it| reader.number(it)),
        })
    }

    /// Adds the tasks of a `JoinSet`: those that run, and those that have ended.
    fn tasks_of_set(&self, value: Value, out: &mut Nodes) {
        let reader = self.reader();
        let lists = reader.find(value, "lists");
        let Some(lists) = lists.and_then(|lists| reader.follow_arc(lists)) else {
            return;
        };
        let label = Rc::new(Label::new(NodeKind::Leaf, "tokio::task::JoinHandle"));
        let mut count = 0;
        for list in ["notified", "idle"] {
            let mut next = reader.find(lists, list);
            let mut field = "head";
            while let Some(entry) = next.and_then(|it| self.optional(reader.find(it, field)?)) {
                if count >= self.decoder.limits.elements {
                    out.mark("more are not shown");
                    return;
                }
                count += 1;
                let handle = reader.find(entry, "value");
                let resource = handle.and_then(|handle| self.join(handle));
                out.push(Rc::clone(&label), resource);
                next = Some(entry);
                field = "next";
            }
        }
    }

    /// Returns what an `Option` of a pointer points to.
    pub(super) fn optional(&self, option: Value) -> Option<Value> {
        let reader = self.reader();
        let ty = reader.ty(option)?;
        let (_, some) = reader.variant(option, &ty)?;
        reader.follow(some)
    }

    fn socket(&self, value: Value) -> Option<Resource> {
        Some(Resource::Socket {
            file: self.descriptor(value),
        })
    }

    /// Returns the file descriptor in a socket of tokio.
    pub(super) fn descriptor(&self, socket: Value) -> Option<u32> {
        let reader = self.reader();
        let events = reader.find_type(socket, "tokio::io::poll_evented::PollEvented")?;
        let option = reader.find(events, "io")?;
        let ty = reader.ty(option)?;
        let (_, inner) = reader.variant(option, &ty)?;
        let number = reader.number(reader.find(inner, "fd")?)?;
        u32::try_from(number).ok()
    }
}

/// Returns the state of a lock of async-lock that a future waits for.
fn lock_resource(lock: Lock) -> Resource {
    Resource::Permits {
        semaphore: lock.address,
        free: lock.free,
        missing: 1,
        queue: None,
        is_granted: false,
        is_closed: false,
        channel: None,
    }
}
