//! Tests native async functions in traits.

use std::fmt::Debug;

use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

trait Source {
    type Item<'a>: Debug
    where
        Self: 'a;

    async fn next(&mut self) -> Option<Self::Item<'_>>;

    #[traced]
    async fn count(&mut self) -> usize {
        let mut count = 0;
        while self.next().await.is_some() {
            count += 1;
        }
        count
    }

    #[traced]
    async fn zero() -> u32
    where
        Self: Sized,
    {
        pause().await;
        0
    }
}

struct Words<'a>(std::str::SplitWhitespace<'a>);

impl Source for Words<'_> {
    type Item<'b>
        = &'b str
    where
        Self: 'b;

    #[traced]
    async fn next(&mut self) -> Option<Self::Item<'_>> {
        pause().await;
        self.0.next()
    }
}

#[test]
fn async_functions_in_traits_work() {
    let mut words = Words("a b c".split_whitespace());
    assert_eq!(block_on(words.next()), Some("a"));
    assert_eq!(block_on(words.count()), 2);
    assert_eq!(block_on(Words::zero()), 0);
}
