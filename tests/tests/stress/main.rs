//! Everything at once, in an order that nobody has thought of: what is polled, moved, dropped and
//! asked is chosen by a generator with a fixed seed, while other threads read without pause.
//!
//! Each scenario ends with every task finished, with no record and no frame left, and with every
//! tree that was read true. A process of its own, because it counts.

mod combined;
mod hopping;
mod reading;
mod support;
mod threads;
