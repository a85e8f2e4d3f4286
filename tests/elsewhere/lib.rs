//! Has no code: the tests of this package are those of `tests/tests`.
