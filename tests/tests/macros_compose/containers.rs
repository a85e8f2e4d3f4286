//! Tests `#[traced]` on containers beside other attributes on the containers and their items.

use super::*;

#[async_trait]
#[traced(crate = probe)]
trait AboveTrait: Sync {
    async fn required(&self) -> u32;

    async fn provided(&self) -> u32 {
        tokio::task::yield_now().await;
        self.required().await
    }

    #[traced(skip)]
    async fn skipped(&self) -> u32 {
        self.required().await
    }

    /// Looks like the expansion of an async fn, and is none.
    fn boxed(&self) -> futures::future::BoxFuture<'_, u32> {
        Box::pin(async move { self.required().await })
    }
}

#[traced(crate = probe)]
#[async_trait]
trait BelowTrait: Sync {
    async fn provided(&mut self, text: &str) -> Option<&'static str>
    where
        Self: Send,
    {
        let _: usize = text.len();
        span_after_a_pause().await
    }

    #[traced("{text}")]
    async fn labelled(&self, text: &str) -> Result<u32, std::num::ParseIntError> {
        let number = text.parse()?;
        tokio::task::yield_now().await;
        Ok(number)
    }
}

struct Type(u32);

#[traced(crate = probe)]
#[async_trait]
impl AboveTrait for Type {
    async fn required(&self) -> u32 {
        tokio::task::yield_now().await;
        self.0
    }
}

#[async_trait]
#[traced(crate = probe)]
impl BelowTrait for Type {
    #[instrument(skip_all)]
    async fn provided(&mut self, _text: &str) -> Option<&'static str>
    where
        Self: Send,
    {
        span_after_a_pause().await
    }
}

struct Provided;

impl BelowTrait for Provided {}

#[traced(crate = probe)]
impl Type {
    #[instrument(skip_all)]
    async fn instrumented(&self) -> Option<&'static str> {
        span_after_a_pause().await
    }
}

#[test]
fn containers_compose_with_async_trait_and_instrument() {
    collect_spans();
    futures::executor::block_on(async {
        let mut value = Type(1);
        assert_eq!(AboveTrait::provided(&value).await, 1);
        assert_eq!(value.skipped().await + value.boxed().await, 2);
        assert_eq!(
            BelowTrait::provided(&mut value, "a").await,
            Some("provided")
        );
        assert_eq!(BelowTrait::provided(&mut Provided, "a").await, None);
        assert_eq!(value.labelled("2").await, Ok(2));
        assert_eq!(value.instrumented().await, Some("instrumented"));
    });
    assert_eq!(
        probe::names(),
        [
            frame("provided"),
            frame("required"),
            frame("required"),
            frame("required"),
            frame("provided"),
            frame("provided"),
            frame("labelled"),
            frame("instrumented"),
        ]
    );
    assert_eq!(probe::labels(), ["2"]);
}
