//! Has no code: the package has tests only.
