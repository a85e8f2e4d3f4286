//! Names functions of libraries as users know them, and recognises those that take something out of a pool.

use super::{Frame, public_name};

/// Returns the public path of a library function.
pub(crate) fn name(function: &Frame) -> String {
    let name = function.name();
    let name = name.strip_suffix("::{async block}").unwrap_or(name);
    public_name(name)
}

/// Returns `true` if the function takes something out of a pool. Such a function says more than the lock or the channel
/// that it waits for.
pub(crate) fn takes_from_pool(function: &Frame) -> bool {
    // Few names contain this, and it is quick to look for.
    function.name().contains("Pool::") && is_name_of_taking(&name(function))
}

/// Returns `true` if `path` is the public path of a function that takes something out of a pool.
pub(crate) fn is_name_of_taking(path: &str) -> bool {
    let (rest, method) = path.rsplit_once("::").unwrap_or(("", path));
    let takes = ["acquire", "checkout", "get", "timeout_get", "try_get"];
    let of_pool = rest
        .rsplit("::")
        .next()
        .is_some_and(|of| of.ends_with("Pool"));
    of_pool && takes.iter().any(|take| method.starts_with(take))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_take_from_a_pool_are_recognised_by_their_paths() {
        let takes = |name: &str| takes_from_pool(&Frame::sample(name, 1).into_dependency());
        assert!(takes("sqlx_core::pool::Pool::acquire"));
        assert!(takes(
            "deadpool::managed::pool::Pool::timeout_get::{async block}"
        ));
        assert!(takes("krate::SharedPool::poll_checkout"));
        assert!(!takes("sqlx_core::pool::Pool::close"));
        assert!(!takes("krate::Spool::unpool"));
        assert!(!takes("krate::Pooled::get"));
    }
}
