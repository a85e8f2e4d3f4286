//! Tests that the compiler infers types in the body from the return type.

use std::fmt::Debug;
use std::num::ParseIntError;

use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[traced]
async fn question_mark(text: &str) -> Result<u8> {
    let parsed = text.parse()?;
    pause().await;
    if parsed > 100 {
        return Err("too large".into());
    }
    if parsed > 50 {
        return Err(Box::new(std::fmt::Error));
    }
    Ok(parsed)
}

#[traced]
async fn collected(text: &str) -> std::result::Result<Vec<u8>, ParseIntError> {
    pause().await;
    text.split(' ').map(str::parse).collect()
}

#[traced]
async fn trait_object(first: bool) -> Box<dyn Debug> {
    pause().await;
    if first {
        return Box::new(1);
    }
    Box::new("two")
}

#[traced]
async fn closure() -> Box<dyn Fn(&str) -> usize> {
    pause().await;
    Box::new(|text| text.trim().len())
}

#[traced]
async fn slice() -> &'static [u8] {
    pause().await;
    &[1, 2, 3]
}

#[traced]
async fn function() -> fn(u32) -> u32 {
    pause().await;
    |value| value + 1
}

#[traced]
async fn default<T: Default>() -> T {
    pause().await;
    Default::default()
}

#[traced]
async fn opaque(text: &str) -> impl Iterator<Item = u8> + use<'_> {
    pause().await;
    text.bytes().rev()
}

#[traced]
async fn opaque_inside(text: &str) -> Result<(impl Iterator<Item = u8>, u64)> {
    pause().await;
    let number = text.parse()?;
    if number == 0 {
        return Err(Box::new(std::fmt::Error));
    }
    Ok((text.bytes(), number))
}

#[test]
fn types_in_the_body_are_inferred_from_the_return_type() {
    block_on(async {
        assert_eq!(question_mark("12").await.ok(), Some(12));
        assert!(question_mark("x").await.is_err());
        assert_eq!(
            question_mark("101").await.unwrap_err().to_string(),
            "too large"
        );
        assert!(
            question_mark("60")
                .await
                .unwrap_err()
                .is::<std::fmt::Error>()
        );
        assert_eq!(collected("1 2").await, Ok(vec![1, 2]));
        assert_eq!(format!("{:?}", trait_object(true).await), "1");
        assert_eq!(format!("{:?}", trait_object(false).await), "\"two\"");
        assert_eq!(closure().await("abc"), 3);
        assert_eq!(slice().await, [1, 2, 3]);
        assert_eq!(function().await(1), 2);
        assert_eq!(default::<u8>().await, 0);
        assert_eq!(opaque("ab").await.collect::<Vec<_>>(), b"ba");
        let (bytes, number) = opaque_inside("12").await.expect("a number");
        assert_eq!((bytes.collect::<Vec<_>>(), number), (b"12".to_vec(), 12));
        assert!(opaque_inside("0").await.is_err());
    });
}
