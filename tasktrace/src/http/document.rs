//! The page, for browsers.

use http::{Response, StatusCode};

use super::body::Body;
use super::response::{Policy, response};

/// The document.
const PAGE: &str = "<!doctype html>\n<meta charset=\"utf-8\">\n<title>tasktrace</title>\n\
    <ul><li><a href=\"dump.txt\">text</a><li><a href=\"dump.json\">JSON</a></ul>\n";

pub(super) fn document() -> Response<Body> {
    let body = Body::whole(PAGE);
    response(
        StatusCode::OK,
        "text/html; charset=utf-8",
        &Policy::Nothing,
        body,
    )
}
