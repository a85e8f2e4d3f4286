//! Contains code that no lint reports, and whose expansion some lint might report.

use std::future::{Ready, ready};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use tasktrace::traced;

use crate::pause;

/// For `async_yields_async`, which reports blocks and no functions.
#[traced]
async fn yields_a_future() -> Ready<u32> {
    pause().await;
    ready(1)
}

/// For `needless_pass_by_ref_mut`.
#[traced]
async fn mutable_reference(items: &mut Vec<u32>) {
    pause().await;
    items.push(1);
}

/// For `needless_pass_by_value`.
#[traced]
async fn by_value(text: String) -> usize {
    pause().await;
    text.len()
}

/// For `redundant_async_block`.
#[traced]
async fn only_waits() {
    pause().await;
}

type Unit = ();

/// For `let_unit_value`.
#[traced]
async fn named_unit() -> Unit {
    pause().await;
}

/// For `type_complexity`: one `allow` silences it.
#[traced]
#[expect(clippy::type_complexity, reason = "it is the point")]
async fn complex() -> Result<Vec<Option<Box<dyn Fn(&[Option<u32>]) -> Vec<u32>>>>, [Option<u32>; 2]>
{
    pause().await;
    Ok(vec![None])
}

/// For `needless_return` and `unnecessary_wraps`.
#[traced]
async fn returns_early(early: bool) -> Option<u32> {
    if early {
        return None;
    }
    pause().await;
    Some(1)
}

/// For `missing_const_for_fn` and `unused_async`.
#[traced]
async fn waits_for_nothing() -> u32 {
    1
}

/// For `diverging_sub_expression`.
#[traced]
async fn diverges(text: &str) -> u32 {
    pause().await;
    panic!("{text}")
}

/// For `uninlined_format_args`, `useless_format` and `to_string_in_format_args`: the user did not write a call of
/// `format!`.
#[traced("{}", text)]
async fn shown(text: String) -> usize {
    pause().await;
    text.len()
}

/// For `needless_return` and `unused_labels`.
#[traced]
fn only_returned() -> BoxFuture<'static, u32> {
    returns_soon(false).boxed()
}

/// For `redundant_else`, `needless_return` and `large_futures`.
#[traced("{early}")]
fn returns_soon(early: bool) -> impl Future<Output = u32> {
    if early {
        return ready(1);
    }
    let value = 2;
    ready(value)
}

/// For `unused_braces` and `let_and_return`.
#[traced]
fn forwards(text: &str) -> impl Future<Output = usize> + use<> {
    by_value(text.to_owned())
}

/// For `missing_const_for_fn`, `unused_self` and `unused_async` in traced containers.
#[traced]
mod module {
    pub(super) struct Type;

    impl Type {
        pub(super) async fn method(&self, _unused: u32) -> u32 {
            1
        }
    }
}

/// For `used_underscore_binding` and `shadow_same`.
#[traced]
async fn underscore(_unused: u32, shadowed: u32) -> u32 {
    pause().await;
    shadowed
}

#[test]
fn expansions_cause_no_lints() {
    block_on(async {
        assert_eq!(yields_a_future().await.await, 1);
        let mut items = Vec::new();
        mutable_reference(&mut items).await;
        assert_eq!(items, [1]);
        assert_eq!(by_value("abc".to_owned()).await, 3);
        only_waits().await;
        named_unit().await;
        assert_eq!(complex().await.map(|items| items.len()), Ok(1));
        assert_eq!(returns_early(true).await, None);
        assert_eq!(returns_early(false).await, Some(1));
        assert_eq!(waits_for_nothing().await, 1);
        assert_eq!(underscore(1, 2).await, 2);
        assert_eq!(shown("abc".to_owned()).await, 3);
        assert_eq!(only_returned().await, 2);
        assert_eq!(returns_soon(true).await, 1);
        assert_eq!(forwards("abc").await, 3);
        assert_eq!(module::Type.method(1).await, 1);
    });
}

#[test]
#[should_panic(expected = "on purpose")]
fn an_expansion_of_a_diverging_function_causes_no_lints() {
    block_on(diverges("on purpose"));
}
