use super::*;

#[async_trait]
trait Service<T: Sync> {
    /// Required: has no body.
    async fn call(&self, argument: &T) -> Option<&'static str>;

    #[traced(crate = probe)]
    async fn provided(&self, argument: &T) -> Option<&'static str> {
        self.call(argument).await
    }

    #[traced(crate = probe)]
    async fn associated(value: T) -> T
    where
        T: Send + 'static,
    {
        tokio::task::yield_now().await;
        value
    }

    #[instrument(skip_all)]
    #[traced(crate = probe)]
    async fn above(&self) -> Option<&'static str> {
        span_after_a_pause().await
    }

    #[traced(crate = probe)]
    #[instrument(skip_all)]
    async fn below(&self) -> Option<&'static str> {
        span_after_a_pause().await
    }
}

struct Type;

#[async_trait]
impl<T: Sync> Service<T> for Type {
    /// Has attributes on both sides.
    #[traced(crate = probe)]
    #[inline]
    async fn call(&self, _argument: &T) -> Option<&'static str> {
        if std::mem::size_of::<T>() == 0 {
            return None;
        }
        span_after_a_pause().await.or(Some("none"))
    }
}

#[async_trait(?Send)]
trait Local {
    async fn number(&self) -> Result<u32, Box<dyn std::error::Error>>;
}

#[async_trait(?Send)]
impl Local for std::rc::Rc<str> {
    #[traced(crate = probe)]
    async fn number(&self) -> Result<u32, Box<dyn std::error::Error>> {
        let number = self.parse()?;
        tokio::task::yield_now().await;
        Ok(number)
    }
}

#[test]
fn methods_of_async_traits_are_frames() {
    collect_spans();
    futures::executor::block_on(async {
        assert_eq!(Type.provided(&1).await, Some("none"));
        assert_eq!(Type.call(&()).await, None);
        assert_eq!(<Type as Service<u32>>::associated(3).await, 3);
        assert_eq!(Service::<u32>::above(&Type).await, Some("above"));
        assert_eq!(Service::<u32>::below(&Type).await, Some("below"));
        let local: std::rc::Rc<str> = "4".into();
        assert_eq!(local.number().await.ok(), Some(4));
    });
    assert_eq!(
        probe::names(),
        [
            frame("provided"),
            frame("call"),
            frame("call"),
            frame("associated"),
            frame("above"),
            frame("below"),
            frame("number"),
        ]
    );
}

/// The future of the trait object's method is still `Send`.
#[test]
fn futures_of_async_traits_are_send() {
    fn require_send<T: Send>(_: &T) {}
    let object: &dyn Object = &Type;
    require_send(&object.boxed());
}

#[async_trait]
trait Object {
    async fn boxed(&self);
}

#[async_trait]
impl Object for Type {
    #[traced]
    async fn boxed(&self) {
        tokio::task::yield_now().await;
    }
}
