//! Provides a shared value behind a lock, in which nothing is allocated or freed while it is locked.

use std::sync::{Arc, PoisonError};

use super::{StaticMutex, StaticMutexGuard};

/// A value for statics that is replaced as a whole. At first there is none.
pub(crate) struct SharedValue<T: ?Sized>(StaticMutex<Option<Arc<T>>>);

impl<T: ?Sized> SharedValue<T> {
    pub(crate) const fn new() -> Self {
        Self(StaticMutex::new(None))
    }

    fn lock(&self) -> StaticMutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Option<Arc<T>> {
        self.lock().clone()
    }

    /// Replaces the value with the result of `next` for it, unless that is `None`.
    ///
    /// Calls `next` again if another thread has replaced the value in between.
    pub(crate) fn update(&self, next: impl Fn(Option<&T>) -> Option<Arc<T>>) {
        loop {
            let known = self.get();
            let Some(new) = next(known.as_deref()) else {
                return;
            };
            let mut current = self.lock();
            if current.as_ref().map(Arc::as_ptr) == known.as_ref().map(Arc::as_ptr) {
                let previous = current.replace(new);
                drop(current);
                drop(previous);
                return;
            }
            drop(current);
        }
    }
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_update_is_lost() {
        let value = SharedValue::<u32>::new();
        let add = || {
            (0..1000)
                .for_each(|_| value.update(|known| Some(Arc::new(known.map_or(1, |it| it + 1)))))
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(add);
            }
        });
        assert_eq!(value.get().as_deref(), Some(&4000));
        value.update(|_| None);
        assert_eq!(value.get().as_deref(), Some(&4000));
    }
}
