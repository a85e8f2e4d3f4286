use super::*;

#[instrument]
#[traced(crate = probe)]
async fn above(value: u32) -> Option<&'static str> {
    span_after_a_pause().await
}

#[traced(crate = probe)]
#[instrument(ret)]
async fn below(value: u32) -> Option<&'static str> {
    span_after_a_pause().await
}

struct Type(u32);

impl Type {
    #[instrument(skip(self), fields(number = self.0), err)]
    #[traced(crate = probe)]
    async fn method_above(&self) -> Result<&'static str, std::fmt::Error> {
        span_after_a_pause().await.ok_or(std::fmt::Error)
    }

    #[traced(crate = probe)]
    #[instrument(skip(self), fields(number = self.0))]
    async fn method_below(&mut self) -> Option<&'static str> {
        self.0 += 1;
        span_after_a_pause().await
    }
}

#[tokio::main]
#[instrument(err)]
#[traced(crate = probe)]
async fn between_main_and_traced() -> Result<&'static str, std::fmt::Error> {
    span_after_a_pause().await.ok_or(std::fmt::Error)
}

#[test]
fn traced_and_instrument_compose_on_functions_and_methods() {
    collect_spans();
    futures::executor::block_on(async {
        assert_eq!(above(1).await, Some("above"));
        assert_eq!(below(1).await, Some("below"));
        let mut value = Type(1);
        assert_eq!(value.method_above().await, Ok("method_above"));
        assert_eq!(value.method_below().await, Some("method_below"));
    });
    assert_eq!(
        probe::names(),
        [
            frame("above"),
            frame("below"),
            frame("method_above"),
            frame("method_below"),
        ]
    );
    assert_eq!(between_main_and_traced(), Ok("between_main_and_traced"));
    assert_eq!(probe::names(), [frame("between_main_and_traced")]);
}
