//! Tests methods with each receiver.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

#[derive(Clone, Debug, PartialEq)]
struct Counter<T>(T);

impl<T: Clone + Debug + Send + Sync> Counter<T> {
    #[traced]
    async fn new(value: T) -> Self {
        pause().await;
        Self(value)
    }

    #[traced]
    async fn by_ref(&self) -> &T {
        pause().await;
        &self.0
    }

    #[traced]
    async fn by_mut(&mut self, value: T) -> &mut Self {
        pause().await;
        self.0 = value;
        self
    }

    #[traced]
    async fn by_value(mut self, value: T) -> Self {
        self.0 = value;
        pause().await;
        self
    }

    #[traced]
    async fn boxed(self: Box<Self>) -> T {
        pause().await;
        self.0
    }

    #[traced]
    async fn shared(self: Arc<Self>) -> T {
        pause().await;
        self.0.clone()
    }

    #[traced]
    async fn pinned(self: Pin<&mut Self>) -> T
    where
        T: Unpin,
    {
        pause().await;
        self.get_mut().0.clone()
    }
}

#[test]
fn methods_with_each_receiver_work() {
    block_on(async {
        let mut counter = Counter::new(1).await;
        assert_eq!(*counter.by_ref().await, 1);
        assert_eq!(counter.by_mut(2).await.0, 2);
        assert_eq!(counter.clone().by_value(3).await, Counter(3));
        assert_eq!(Box::new(counter.clone()).boxed().await, 2);
        assert_eq!(Arc::new(counter.clone()).shared().await, 2);
        assert_eq!(Pin::new(&mut counter).pinned().await, 2);
    });
}
