//! Which backend a user belongs to.
