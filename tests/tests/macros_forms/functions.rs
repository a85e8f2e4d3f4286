//! Tests functions of every form.

use std::fmt::Display;

use futures::FutureExt;
use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

#[traced]
async fn nothing() {}

#[traced]
async fn unit() {
    pause().await;
}

#[traced]
async fn patterns((a, b): (u32, u32), [first, ..]: [u32; 3], mut sum: u32, _: String) -> u32 {
    sum += a;
    pause().await;
    sum + b + first
}

#[traced]
async fn generic<'a, T, const N: usize>(items: &'a [T; N], other: &'a T) -> &'a T
where
    T: PartialOrd + Sync,
{
    pause().await;
    items.iter().fold(other, |a, b| if a > b { a } else { b })
}

#[traced]
async fn argument(text: impl Display + Send, each: impl Fn(&str) -> usize) -> usize {
    pause().await;
    each(&text.to_string())
}

#[traced]
async fn elided(text: &str, _other: u8) -> usize {
    pause().await;
    text.len()
}

#[traced]
async fn borrowed(text: &str) -> &str {
    pause().await;
    text.trim()
}

#[traced]
async unsafe fn not_safe(value: &[u32], index: usize) -> u32 {
    pause().await;
    // SAFETY: the caller promises that `index` is within bounds.
    unsafe { *value.get_unchecked(index) }
}

#[traced]
async extern "Rust" fn with_abi(value: u32) -> u32 {
    pause().await;
    value
}

#[expect(improper_ctypes_definitions, reason = "a future has no layout in C")]
#[traced]
async unsafe extern "C" fn not_safe_with_abi(value: u32) -> u32 {
    pause().await;
    value
}

/// Keeps the comment and the attributes above the function.
#[must_use = "it is only computed"]
#[traced]
#[inline]
async fn attributes(value: u32) -> u32 {
    #![expect(non_snake_case, reason = "an attribute inside the function")]
    let Value = value;
    pause().await;
    Value
}

#[traced]
async fn conditional(#[cfg(not(test))] missing: Missing, #[cfg(test)] value: u32) -> u32 {
    pause().await;
    value
}

#[traced]
async fn items() -> u32 {
    use std::mem::size_of;
    const fn double(value: u32) -> u32 {
        value * 2
    }
    const SIZE: usize = size_of::<u16>();
    pause().await;
    double(u32::try_from(SIZE).unwrap_or_default())
}

#[traced]
async fn nested() -> u32 {
    #[traced]
    async fn inner() -> u32 {
        pause().await;
        4
    }
    inner().await
}

#[traced]
async fn recursive(depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    pause().await;
    Box::pin(recursive(depth - 1)).await + 1
}

#[traced]
async fn control_flow(limit: u32) -> u32 {
    let mut sum = 0;
    'outer: loop {
        for i in 0.. {
            if sum > limit {
                break 'outer;
            }
            if i == 3 {
                continue 'outer;
            }
            sum += i;
            pause().await;
        }
    }
    if sum.is_multiple_of(2) {
        return sum;
    }
    sum + 1
}

#[traced]
async fn never() -> ! {
    loop {
        pause().await;
    }
}

#[test]
fn functions_of_every_form_return_what_they_would_without_the_attribute() {
    block_on(async {
        nothing().await;
        unit().await;
        assert_eq!(patterns((1, 2), [3, 0, 0], 4, String::new()).await, 10);
        assert_eq!(*generic(&[1, 5, 2], &3).await, 5);
        assert_eq!(argument(12, str::len).await, 2);
        assert_eq!(elided("abc", 0).await, 3);
        assert_eq!(borrowed(" abc ").await, "abc");
        // SAFETY: the index that is passed is smaller than the length of the slice.
        assert_eq!(unsafe { not_safe(&[6, 7], 1) }.await, 7);
        assert_eq!(with_abi(8).await, 8);
        // SAFETY: the called function has no requirements, because its body does nothing unsafe.
        assert_eq!(unsafe { not_safe_with_abi(9) }.await, 9);
        assert_eq!(attributes(10).await, 10);
        assert_eq!(conditional(11).await, 11);
        assert_eq!(items().await, 4);
        assert_eq!(nested().await, 4);
        assert_eq!(recursive(50).await, 50);
        assert_eq!(control_flow(5).await, 6);
        assert_eq!(never().now_or_never().map(|never| never), None);
    });
}
