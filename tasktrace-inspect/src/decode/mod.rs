//! Finds the futures inside a value, and where each of them waits.
//!
//! There is no list of wrappers: fields are walked by type. [`plan`] says for each type which of its fields can lead to
//! a future or to a guard, [`walk`] follows them in memory, [`coroutine`] reads async functions and blocks, whose
//! states [`state`] describes, [`collection`] and [`map`] what has many futures, [`message`] what was sent and not
//! received, [`leaf`] what is waited for, [`channel`] channels among that, [`label`] names, [`hold`] who holds locks,
//! [`async_lock`] the locks of that crate.

mod async_lock;
mod channel;
mod collection;
mod coroutine;
mod hold;
mod kind;
mod label;
mod leaf;
mod map;
mod message;
mod node;
mod plan;
mod state;
mod walk;

pub(crate) use self::hold::Hold;
#[cfg(test)]
pub(crate) use self::hold::Owner;
pub(crate) use self::node::{
    Bounded, Label, Node, NodeKind, Nodes, OneshotState, Peers, Place, PlaceInQueue, Pool,
    Resource, Tree, Trees,
};
pub(crate) use self::walk::{Decoded, Decoder};
