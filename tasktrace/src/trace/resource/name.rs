//! Derives the public paths of functions that have no rule.

/// Returns the path under which users know a function, derived from its path in the source.
///
/// ```text
/// async_lock::once_cell::OnceCell::wait     async_lock::OnceCell::wait
/// tokio::fs::read::read                     tokio::fs::read
/// futures_timer::Delay::poll                futures_timer::Delay
/// tokio::net::TcpStream::poll_read_priv     tokio::net::TcpStream::read
/// ```
pub(crate) fn public(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split("::").filter(|segment| !segment.is_empty()) {
        // Items are often declared in a private module of the same name. The name of the crate is kept.
        if segments.len() > 1
            && segments
                .last()
                .is_some_and(|last| is_named_after(last, segment))
        {
            segments.pop();
        }
        segments.push(segment);
    }
    // `krate::poll` may be a function of its own.
    if segments.len() > 2 && segments.last() == Some(&"poll") {
        segments.pop();
    }
    if let Some(last) = segments.last_mut() {
        *last = method(last);
    }
    segments.join("::")
}

/// Returns `true` if the last segment of a path is the name of a type.
pub(super) fn ends_with_type(path: &str) -> bool {
    let last = path.rsplit("::").next();
    last.is_some_and(|last| last.starts_with(char::is_uppercase))
}

/// Returns the name of the public method that calls this method.
fn method(name: &str) -> &str {
    let Some(name) = name.strip_prefix("poll_") else {
        return name;
    };
    ["_priv", "_internal", "_inner", "_unpin"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// Returns `true` if `module` is `item` in snake case.
fn is_named_after(module: &str, item: &str) -> bool {
    let module = module.chars().filter(|c| *c != '_');
    let item = item.chars().filter(|c| *c != '_');
    module.eq(item.flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_are_named_after_their_item_are_left_out() {
        assert_eq!(
            public("async_lock::once_cell::OnceCell::wait"),
            "async_lock::OnceCell::wait"
        );
        assert_eq!(public("tokio::fs::read::read"), "tokio::fs::read");
        assert_eq!(public("flume::Flume"), "flume::Flume");
        assert_eq!(
            public("krate::sync::mpsc::Receiver::recv"),
            "krate::sync::mpsc::Receiver::recv"
        );
    }

    #[test]
    fn poll_methods_are_named_after_public_methods() {
        assert_eq!(public("futures_timer::Delay::poll"), "futures_timer::Delay");
        assert_eq!(public("krate::poll"), "krate::poll");
        assert_eq!(
            public("tokio::net::TcpStream::poll_read_priv"),
            "tokio::net::TcpStream::read"
        );
        assert_eq!(
            public("krate::Table::read_inner"),
            "krate::Table::read_inner"
        );
    }

    #[test]
    fn malformed_paths_do_not_panic() {
        for path in ["", "::", "poll", "::poll", "poll_", "É::é::poll_ß"] {
            public(path);
            ends_with_type(path);
        }
    }
}
