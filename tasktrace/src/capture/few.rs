//! A list of mostly one: most tasks have one leaf, and what nobody has asked is a task alone.

use std::ops::{Deref, DerefMut};

/// A list that allocates nothing for a single value.
#[derive(Clone, Debug)]
pub(crate) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, value: T) {
        match self {
            Self::Many(values) if values.capacity() > 0 => values.push(value),
            Self::Many(_) => *self = Self::One(value),
            Self::One(_) => {
                if let Self::One(first) = std::mem::take(self) {
                    *self = Self::Many(vec![first, value]);
                }
            }
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        let mut values = match std::mem::take(self) {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        };
        values.retain(keep);
        *self = Self::Many(values);
    }
}

impl<T, I: Iterator<Item = T>> From<(usize, I)> for Few<T> {
    /// Of so many values.
    fn from((length, mut values): (usize, I)) -> Self {
        match (length, values.next()) {
            (_, None) => Self::default(),
            (1, Some(value)) => Self::One(value),
            (length, Some(first)) => {
                let mut all = Vec::with_capacity(length);
                all.push(first);
                all.extend(values);
                Self::Many(all)
            }
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(value) => std::slice::from_mut(value),
            Self::Many(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut few = Few::default();
        for length in 0..5 {
            assert_eq!(few[..], (0..length).collect::<Vec<_>>()[..]);
            few.push(length);
        }
        few.retain(|value| value % 2 == 1);
        assert_eq!(few[..], [1, 3]);
        few.retain(|_| false);
        few.push(7);
        few.retain(|_| true);
        few.push(8);
        assert_eq!(few[..], [7, 8]);
        for length in 0..4 {
            let values: Vec<usize> = (0..length).collect();
            assert_eq!(Few::from((length, 0..length))[..], values[..]);
        }
    }
}
