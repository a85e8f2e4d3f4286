//! The right to interrupt threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::handshake::Handshake;
use super::room::Room;
use super::shared::{IN_USE, Shared};

/// The process of the asker. 0 if nobody asks.
pub(super) static ASKER: AtomicU32 = AtomicU32::new(0);

/// The right to ask. There is one.
pub(super) struct Asker(());

impl Asker {
    pub(super) fn wait(deadline: Instant) -> Option<Self> {
        let process = std::process::id();
        loop {
            match Self::take(0, process) {
                Ok(asker) => return Some(asker),
                // This process was forked while its parent had an asker. What that was about to do
                // will not be done here.
                Err(parent) if parent != process => {
                    if let Ok(asker) = Self::take(parent, process) {
                        Shared::forget_all();
                        return Some(asker);
                    }
                }
                Err(_) if Instant::now() >= deadline => return None,
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    fn take(from: u32, process: u32) -> Result<Self, u32> {
        let taken = ASKER.compare_exchange(from, process, Ordering::Acquire, Ordering::Relaxed);
        taken.map(|_| Self(()))
    }

    pub(super) fn shared(&self) -> &'static Handshake<Room> {
        &Shared::get_or_make().handshake
    }

    /// Leaves what is shared to a handler that does not come to its end.
    pub(super) fn abandon(&self) {
        IN_USE.set(None);
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        ASKER.store(0, Ordering::Release);
    }
}
